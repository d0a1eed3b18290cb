"""Killing what ends by itself at the same moment."""

import os
import subprocess
from types import SimpleNamespace
from typing import cast

import pytest

from hostd.container import init_side
from hostd.container.run import Run
from hostd.kernel.process import Process


def test_a_process_that_is_reaped_before_the_signal_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """cgroup.kill and the keeper may be faster than we are between looking and signalling."""
    with subprocess.Popen(["sleep", "60"]) as child:
        process = Process.open(child.pid)
        child.kill()
    monkeypatch.setattr(Process, "reopen", lambda pid, identity: process)
    cgroup = SimpleNamespace(exists=lambda: False)
    run = SimpleNamespace(cgroup=cgroup, record=SimpleNamespace(pid=child.pid, identity=process.identity))
    before = len(os.listdir("/proc/self/fd"))
    init_side._kill(cast(Run, run))
    assert len(os.listdir("/proc/self/fd")) == before - 1  # the pidfd is closed all the same
