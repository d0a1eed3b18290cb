"""What a guest does with cgroups of its own, and cannot achieve by it: on the hierarchies as they are mounted."""

import os
import signal
import subprocess

import pytest

from hostd.cgroup import control, files
from hostd.cgroup.tree import CtCgroup
from tests.harness.needs import needs
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


@needs("unified")
def test_it_does_not_make_very_many(cgroup: CtCgroup) -> None:
    """Each is memory of the host's.  v1 cannot refuse them."""
    directory = cgroup.unified()
    assert directory is not None
    with directory, pytest.raises(BlockingIOError) as refused:
        for number in range(5000):
            os.mkdir(f"x{number}", dir_fd=directory.fileno())
    assert refused.value.filename == "x4096"


@needs("unified")
def test_nor_very_deep_ones(cgroup: CtCgroup) -> None:
    path = cgroup.paths()[-1]
    with pytest.raises(BlockingIOError):
        for _ in range(100):
            path += "/x"
            os.mkdir(path)
    assert path.count("/x") == 65
