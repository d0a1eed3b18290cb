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


def test_what_it_sees_is_its_own(cgroup: CtCgroup) -> None:
    cgroup.create(OWNER)
    *others, last = cgroup.paths()
    if cgroup.tree.mode == "v1":
        others.append(last)
    else:
        assert os.stat(last).st_uid == OWNER
        assert owned(last) == {"cgroup.procs", "cgroup.threads", "cgroup.subtree_control"}
    for path in others:
        assert os.stat(path).st_uid == 0 and not owned(path), f"the guest may write in {path}"


def owned(directory: str) -> set[str]:
    return {name for name in os.listdir(directory) if os.stat(f"{directory}/{name}").st_uid == OWNER}


@needs("cgroup1")
def test_it_makes_none_of_v1(cgroup: CtCgroup) -> None:
    """Nothing bounds how many, and a limit of I/O is not one for those below."""
    cgroup.create(OWNER)
    hierarchies = [f"{root}/101" for root in cgroup.tree.v1_roots]
    guest = ["setpriv", f"--reuid={OWNER}", "--clear-groups"]
    for path in hierarchies:
        made = subprocess.run([*guest, "mkdir", f"{path}/x"], capture_output=True)
        assert made.returncode == 1 and b"Permission denied" in made.stderr, made
        for name in ("", "/tasks", "/cgroup.procs"):
            os.chown(path + name, OWNER, OWNER)  # as an earlier hostd did
    cgroup.take_over()
    assert {os.stat(f"{path}{name}").st_uid for path in hierarchies for name in ("", "/tasks", "/cgroup.procs")} == {0}


@needs("unified")
def test_it_does_not_make_very_many(cgroup: CtCgroup) -> None:
    """Each is memory of the host's."""
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
