"""The kernel's beancounters, from a cgroup v2 of files."""

from pathlib import Path

import pytest

from hostd.cgroup import stats
from hostd.cgroup.hierarchies import Hierarchy
from hostd.cgroup.stats import Counter
from hostd.cgroup.tree import CgroupTree, CtCgroup

FILES = {
    "memory.current": "8192",
    "memory.peak": "16384",
    "memory.events": "low 0\nhigh 0\nmax 70\noom 1\noom_kill 3",
    "memory.events.local": "low 0\nhigh 0\nmax 7\noom 1\noom_kill 0",
    "memory.swap.current": "4096",
    "memory.swap.events": "high 0\nmax 2\nfail 2",
    "memory.stat": "anon 4096\nkernel 2000\nshmem 4096\nslab_reclaimable 500\nslab 1000",
    "pids.current": "5",
    "pids.peak": "9",
    "pids.events": "max 40",
    "pids.events.local": "max 4",
}


@pytest.fixture
def cgroup(tmp_path: Path) -> CtCgroup:
    (tmp_path / "vz/101").mkdir(parents=True)
    (tmp_path / "vz/cgroup.subtree_control").write_text("memory pids")
    for name, text in FILES.items():
        (tmp_path / "vz/101" / name).write_text(f"{text}\n")
    return CtCgroup(CgroupTree("vz", (Hierarchy(str(tmp_path), frozenset(), unified=True),)), 101)


def test_what_a_kernel_of_today_tells(cgroup: CtCgroup) -> None:
    assert stats.counters(cgroup, stats.KEPT) == {
        "dcachesize": Counter(500, None, 0),
        "kmemsize": Counter(2000, None, 0),
        "numproc": Counter(5, 9, 4),
        "physpages": Counter(2, 4, 7),
        "shmpages": Counter(1, None, None),
        "swappages": Counter(1, None, 2),
    }


def test_limits_of_the_guests_own_refuse_nothing(cgroup: CtCgroup) -> None:
    """But whoever is killed is."""
    assert stats.failures(cgroup) == {"numproc": 4, "physpages": 7, "swappages": 2, stats.OOM_KILLS: 3}
    assert stats.refused_processes(cgroup) == 4


def test_older_kernels(cgroup: CtCgroup) -> None:
    for name in ("pids.events.local", "memory.events.local", "pids.peak", "memory.peak"):
        Path(cgroup.paths()[-1], name).unlink()
    assert stats.counters(cgroup, ("numproc", "physpages")) == {
        "numproc": Counter(5, None, 40),
        "physpages": Counter(2, None, 70),
    }
