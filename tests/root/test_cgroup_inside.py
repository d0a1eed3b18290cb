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

OWNER = 1_900_544  # a uid range that nobody has


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


@needs("cgroup1", "io")
def test_it_does_not_leave_the_limits_of_its_disk(cgroup: CtCgroup) -> None:
    """Those of v1 are of one cgroup alone, and not of those below it."""
    cgroup.create(OWNER)
    below = f"{cgroup.path('blkio')}/x"
    made = subprocess.run(["setpriv", f"--reuid={OWNER}", "--clear-groups", "mkdir", below], capture_output=True)
    assert made.returncode == 1 and b"Permission denied" in made.stderr, made
    os.chown(cgroup.path("blkio") or "", OWNER, OWNER)  # as an earlier hostd did
    cgroup.take_over()
    assert os.stat(cgroup.path("blkio") or "").st_uid == 0


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
