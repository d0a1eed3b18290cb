"""What a guest does with cgroups of its own, and cannot achieve by it: on the hierarchies as they are mounted."""

import os
import signal
import subprocess

import pytest

from hostd.cgroup import control, files
from hostd.cgroup.tree import CtCgroup
from tests.harness.patience import patient

pytestmark = pytest.mark.root


def test_kill_reaches_whom_it_has_frozen(cgroup: CtCgroup) -> None:
    """On v1 a signal does not wake them, nor does a thaw of the cgroup above."""
    freezer = cgroup.path("freezer")
    below = f"{freezer or cgroup.paths()[-1]}/x"
    os.mkdir(below)
    with subprocess.Popen(["sleep", "1000"]) as process:
        for path in (*cgroup.paths(), below):
            files.write(f"{path}/cgroup.procs", str(process.pid))
        assert control.freeze_v1(below, patient(10)) if freezer else control.freeze(below, patient(10))
        cgroup.kill()
        assert process.wait(patient(10)) == -signal.SIGKILL
