"""Killing what ends by itself at the same moment, and seeing that it has ended."""

import asyncio
import os
import subprocess
from types import SimpleNamespace
from typing import cast

import pytest

from hostd.container import init_side
from hostd.container.container import Container
from hostd.container.run import Run
from hostd.container.world import World
from hostd.kernel.process import Process


def test_a_process_that_is_reaped_before_the_signal_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """cgroup.kill and the keeper may be faster than we are between looking and signalling."""
    with subprocess.Popen(["sleep", "60"]) as child:
        process = Process.open(child.pid)
        child.kill()
    monkeypatch.setattr(Process, "reopen", lambda pid, identity: process)
    cgroup = SimpleNamespace(exists=lambda: False)
    record = SimpleNamespace(pid=child.pid, identity=process.identity, ids=None)
    run = SimpleNamespace(cgroup=cgroup, record=record)
    before = len(os.listdir("/proc/self/fd"))
    init_side._kill(cast(Run, run))
    assert len(os.listdir("/proc/self/fd")) == before - 1  # the pidfd is closed all the same


def test_the_end_of_pid_1_is_seen_before_the_keeper_tells() -> None:
    async def scene() -> None:
        ct = Container(cast(World, None), 101)
        await ct.dead()  # nothing was born
        child = await asyncio.create_subprocess_exec("sleep", "60")
        ct.born(Process.open(child.pid))
        waiting = asyncio.ensure_future(ct.dead())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        child.kill()
        await asyncio.wait_for(waiting, 10)
        await child.wait()
        assert ct.process is not None
        assert not asyncio.get_running_loop().remove_reader(ct.process.fileno())
        ct.buried()

    asyncio.run(scene())
