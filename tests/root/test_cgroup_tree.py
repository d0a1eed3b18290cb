"""The life of a container's cgroup on this machine's hierarchies: as they are, the v1 ones alone, cgroup2
alone.
"""

import errno
import os
import select
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostd.cgroup import files, limits, stats
from hostd.cgroup.hierarchies import mounted
from hostd.cgroup.limits import Limits
from hostd.cgroup.tree import CgroupTree, CtCgroup
from hostd.config import values
from hostd.errors import Failure
from hostd.kernel.fd import Fd
from tests.harness.needs import needs, require
from tests.harness.patience import patient

pytestmark = pytest.mark.root

MIB = 1 << 20
OWNER = 1_900_544  # a uid range that nobody has


@pytest.fixture(params=["all", pytest.param("v1", marks=needs("cgroup1")), pytest.param("v2", marks=needs("unified"))])
def tree(request: pytest.FixtureRequest) -> Iterator[CgroupTree]:
    hierarchies = mounted()
    if request.param != "all":
        hierarchies = tuple(h for h in hierarchies if h.unified == (request.param == "v2"))
    tree = CgroupTree(f"vzt-{uuid.uuid4().hex[:8]}", hierarchies)
    yield tree
    for ctid in tree.ctids():
        CtCgroup(tree, ctid).kill()
        CtCgroup(tree, ctid).destroy()
    tree.remove()
    assert not [root for root in tree.roots if os.path.exists(root)]


@pytest.fixture
def cgroup(tree: CgroupTree) -> CtCgroup:
    group = CtCgroup(tree, 101)
    group.create(OWNER)
    return group


def inside(cgroup: CtCgroup, *argv: str) -> "subprocess.Popen[bytes]":
    """A process of *cgroup*, which entered it by itself.  Its input lasts until `ended`."""
    files = [Fd.open(f"{path}/cgroup.procs", os.O_WRONLY) for path in cgroup.paths()]

    def enter() -> None:
        for file in files:
            os.write(file.fileno(), b"0")

    return subprocess.Popen(argv, preexec_fn=enter, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def ended(process: "subprocess.Popen[bytes]", timeout: float = patient(10)) -> int:
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()
    return process.wait(timeout)


def test_the_second_creation_replaces_a_leftover_but_not_a_living_one(cgroup: CtCgroup) -> None:
    cgroup.create(OWNER)
    process = inside(cgroup, "sleep", "1000")
    with pytest.raises(Failure, match="cannot make the cgroup"):
        cgroup.create(OWNER)
    cgroup.kill()
    assert ended(process) == -signal.SIGKILL


def test_a_child_of_spawn_enters_by_tasks_and_clone(cgroup: CtCgroup) -> None:
    assert len(cgroup.joins()) == len(cgroup.tree.v1)
    assert (cgroup.into() is None) == (cgroup.tree.mode == "v1")


def test_processes_are_in_every_hierarchy(cgroup: CtCgroup) -> None:
    process = inside(cgroup, "sleep", "1000")
    assert cgroup.procs() == [process.pid]
    lines = Path(f"/proc/{process.pid}/cgroup").read_text().splitlines()
    here = [line for line in lines if line.endswith(f"/{cgroup.tree.root_name}/101")]
    assert len(here) == len(cgroup.paths())
    cgroup.kill()
    ended(process)
    assert cgroup.procs() == []


def test_kill_reaches_sub_cgroups_and_frozen_processes(cgroup: CtCgroup) -> None:
    below = [f"{path}/a/b" for path in cgroup.paths()]
    for path in below:
        os.makedirs(path)
        if os.path.exists(f"{path}/cpuset.cpus"):
            assert Path(path, "cpuset.cpus").read_text().strip(), "a guest's own cpuset must be usable"
    process = inside(cgroup, "sleep", "1000")
    for path in below:
        Path(path, "cgroup.procs").write_text(str(process.pid))
    assert cgroup.procs() == [process.pid]
    cgroup.freeze()
    cgroup.kill()
    assert ended(process) == -signal.SIGKILL
    cgroup.destroy()
    assert not cgroup.exists()
    cgroup.destroy()  # again


def test_freeze_stops_and_thaw_lets_go(cgroup: CtCgroup) -> None:
    process = inside(cgroup, "sh", "-c", "while :; do echo; done")
    assert process.stdout
    process.stdout.read(100)
    cgroup.freeze()
    assert cgroup.frozen()
    fd = process.stdout.fileno()
    os.set_blocking(fd, False)
    while os.read(fd, 65536) if select.select([fd], [], [], 0)[0] else b"":
        pass  # what was in the pipe
    assert not select.select([fd], [], [], 0.05)[0]
    cgroup.thaw()
    assert select.select([fd], [], [], patient(10))[0]
    assert not cgroup.frozen()
    cgroup.kill()
    ended(process)


def test_destroy_waits_for_the_dying_and_names_the_living(cgroup: CtCgroup) -> None:
    process = inside(cgroup, "sleep", "1000")
    with pytest.raises(Failure, match=f"stay in it: {process.pid}"):
        cgroup.destroy(timeout=0.05)
    cgroup.kill()
    cgroup.destroy()
    assert not cgroup.exists()
    ended(process)


def test_operations_on_what_is_gone_do_no_harm(tree: CgroupTree) -> None:
    cgroup = CtCgroup(tree, 102)
    assert not cgroup.exists()
    cgroup.kill()
    cgroup.thaw()
    assert not cgroup.frozen()
    assert cgroup.procs() == []
    cgroup.destroy()
    assert tree.ctids() == []


def test_half_a_creation_is_undone(tree: CgroupTree) -> None:
    tree.prepare()
    last = f"{tree.roots[-1]}/101"
    os.mkdir(last)
    process = subprocess.Popen(["sleep", "1000"])
    Path(last, "cgroup.procs").write_text(str(process.pid))
    cgroup = CtCgroup(tree, 101)
    with pytest.raises(Failure, match=last):
        cgroup.create(OWNER)
    assert [path for path in cgroup.paths() if os.path.exists(path)] == [last]
    process.kill()
    ended(process)


def test_the_unified_directory_is_a_directory(cgroup: CtCgroup) -> None:
    directory = cgroup.unified()
    if directory is None:
        assert cgroup.tree.mode == "v1"
        return
    with directory:
        assert isinstance(directory, Fd)
        assert "cgroup.procs" in os.listdir(directory.fileno())


# limits, where this machine has the controllers


@pytest.fixture
def limited(cgroup: CtCgroup, request: pytest.FixtureRequest) -> CtCgroup:
    """The unified tree of a hybrid host has no controllers: with it alone, limits need cgroup v2."""
    require(request.node, "memory", "swap-accounting", "pids", "cpu", "cgroup2" if not cgroup.tree.v1 else "cgroup1")
    return cgroup


HOLD = "import sys; b = bytearray(int(sys.argv[1]) << 20); print('held', flush=True); sys.stdin.read()"


def hog(cgroup: CtCgroup, mib: int) -> "subprocess.Popen[bytes]":
    return inside(cgroup, "/usr/bin/python3", "-I", "-S", "-c", HOLD, str(mib))


def words(cgroup: CtCgroup, controller: str, v1: str, v2: str) -> list[str]:
    """What the kernel says in the file that holds a limit: *v1* or *v2*, as this machine's mode is."""
    name = v2 if cgroup.tree.mode == "v2" else v1
    return Path(cgroup.path(controller) or "", name).read_text().split()


def memory(cgroup: CtCgroup) -> tuple[int | None, int | None]:
    """The limits of RAM and swap that the kernel holds, in bytes; None: unlimited."""
    ram = number(words(cgroup, "memory", "memory.limit_in_bytes", "memory.max"))
    swap = number(words(cgroup, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max"))
    if cgroup.tree.mode != "v2" and ram is not None and swap is not None:
        swap -= ram  # v1 holds the sum
    return ram, swap


def number(words: list[str]) -> int | None:
    return None if words[0] == "max" or int(words[0]) > 1 << 60 else int(words[0])


def test_limits_apply_live_both_ways(limited: CtCgroup) -> None:
    pairs = [(64, 64), (256, 0), (32, 512), (None, None), (50, None)]
    steps = [Limits(ram and ram * MIB, swap and swap * MIB) for ram, swap in pairs]
    previous = None
    for step in steps:
        limits.apply(limited, step, previous)
        previous = step
        assert memory(limited) == (step.ram, step.swap)


def test_memory_over_the_limit_is_killed_and_counted(limited: CtCgroup) -> None:
    limits.apply(limited, Limits(32 * MIB, 0))
    process = hog(limited, 100)
    assert ended(process) == -signal.SIGKILL
    row = stats.counters(limited, {"physpages"})["physpages"]
    assert row.failcnt
    assert row.maxheld and row.maxheld * values.PAGE <= 32 * MIB


def test_shrinking_below_use_fails_and_keeps_everything(limited: CtCgroup) -> None:
    before = Limits(200 * MIB, 0, numproc=50)
    limits.apply(limited, before)
    process = hog(limited, 100)
    assert process.stdout and process.stdout.readline() == b"held\n"
    with pytest.raises(Failure, match="in use"):
        limits.apply(limited, Limits(20 * MIB, 0, numproc=60), before)
    assert memory(limited) == (200 * MIB, 0)
    assert words(limited, "pids", "pids.max", "pids.max") == ["50"]
    assert process.poll() is None, "shrinking must not kill"
    limited.kill()
    ended(process)


def test_an_undo_kills_nobody(limited: CtCgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was filled before the next limit was refused stays allowed, and is told."""
    before, after = Limits(50 * MIB, 0), Limits(200 * MIB, 0, numproc=60)
    limits.apply(limited, before)
    write, hogs = files.write, list["subprocess.Popen[bytes]"]()

    def refuse(path: str, value: str) -> None:
        if path.endswith("/pids.max") and not hogs:
            hogs.append(hog(limited, 100))
            assert hogs[0].stdout and hogs[0].stdout.readline() == b"held\n"
            raise OSError(errno.EINVAL, "refused", path)
        write(path, value)

    monkeypatch.setattr(files, "write", refuse)
    with pytest.raises(Failure, match="NUMPROC"):
        limits.apply(limited, after, before)
    assert list(limits.take_back(limited, before, after)) == ["PHYSPAGES and SWAPPAGES"]
    assert memory(limited) == (200 * MIB, 0)
    assert hogs[0].poll() is None
    limited.kill()
    ended(hogs[0])


@pytest.mark.parametrize(("numproc", "text"), [(4194304, "4194304"), (4194305, "max")])
def test_the_kernel_takes_any_numproc(limited: CtCgroup, numproc: int, text: str) -> None:
    limits.apply(limited, Limits(numproc=numproc), limits.NONE)
    assert words(limited, "pids", "pids.max", "pids.max") == [text]


def test_numproc_stops_forks_and_counts_them(limited: CtCgroup) -> None:
    limits.apply(limited, Limits(numproc=3))
    process = inside(limited, "sh", "-c", "sleep 1000 & sleep 1000 & sleep 1000 & sleep 1000 & wait")
    assert ended(process) != 0
    row = stats.counters(limited, {"numproc"})["numproc"]
    assert (row.maxheld, bool(row.failcnt)) == (3, True)
    limited.kill()


def test_cpu_limit_in_the_files(limited: CtCgroup) -> None:
    v2 = limited.tree.mode == "v2"
    limits.apply(limited, Limits(cpuunits=500, cpulimit=50))
    assert words(limited, "cpu", "cpu.shares", "cpu.weight") == ["50" if v2 else "512"]
    assert words(limited, "cpu", "cpu.cfs_quota_us", "cpu.max")[0] == "50000"
    limits.apply(limited, Limits())
    assert words(limited, "cpu", "cpu.cfs_quota_us", "cpu.max")[0] == ("max" if v2 else "-1")
