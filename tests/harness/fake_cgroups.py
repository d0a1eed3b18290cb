"""The cgroup of one container as plain files in a directory, of v1 and of v2."""

from collections.abc import Iterator
from pathlib import Path

from hostd.cgroup import limits
from hostd.cgroup.hierarchies import Hierarchy
from hostd.cgroup.limits import Limits
from hostd.cgroup.tree import CgroupTree, CtCgroup
from hostd.cgroup.writes import Write

MIB = 1 << 20

V2_FILES = {
    "memory.max": "max",
    "memory.high": "max",
    "memory.current": str(10 * MIB),
    "memory.peak": str(20 * MIB),
    "memory.events": "low 0\nhigh 0\nmax 3\noom 0\noom_kill 0",
    "memory.events.local": "low 0\nhigh 0\nmax 3\noom 0\noom_kill 0",
    "memory.stat": "anon 1\nkernel 8192\nkernel_stack 3",
    "memory.swap.max": "max",
    "memory.swap.current": "4096",
    "memory.swap.events": "high 0\nmax 1\nfail 2",
    "cpu.weight": "100",
    "cpu.max": "max 100000",
    "cpu.stat": "usage_usec 5\nuser_usec 3",
    "pids.max": "max",
    "pids.current": "7",
    "pids.peak": "9",
    "pids.events": "max 4",
}
V1_FILES = {
    "memory": {"memory.limit_in_bytes": str(1 << 63), "memory.memsw.limit_in_bytes": str(1 << 63)},
    "cpu": {"cpu.shares": "1024", "cpu.cfs_quota_us": "-1"},
    "pids": {"pids.max": "max"},
}


def v2(tmp: Path, controllers: str = "cpu memory pids") -> CtCgroup:
    directory = tmp / "vz" / "101"
    directory.mkdir(parents=True)
    (tmp / "vz" / "cgroup.subtree_control").write_text(controllers + "\n")
    for name, text in V2_FILES.items():
        (directory / name).write_text(text + "\n")
    return CtCgroup(CgroupTree("vz", (Hierarchy(str(tmp), frozenset(), unified=True),)), 101)


def v1(tmp: Path) -> CtCgroup:
    for controller, wanted in V1_FILES.items():
        directory = tmp / controller / "vz" / "101"
        directory.mkdir(parents=True)
        for name, text in wanted.items():
            (directory / name).write_text(text + "\n")
    hierarchies = tuple(Hierarchy(str(tmp / c), frozenset({c})) for c in V1_FILES)
    return CtCgroup(CgroupTree("vz", hierarchies), 101)


def writes(cgroup: CtCgroup, wanted: Limits, previous: Limits | None = None) -> Iterator[Write]:
    """What is to be written for all rows."""
    for row in limits.LIMITS:
        yield from limits.writes(row, cgroup, wanted, previous)


def write(path: str, value: str) -> None:
    """As a file of a cgroup takes it: nothing is left of what was there."""
    Path(path).write_text(f"{value}\n")


def content(cgroup: CtCgroup, controller: str, name: str) -> str:
    path = cgroup.path(controller)
    assert path is not None
    return Path(path, name).read_text().rstrip("\n")
