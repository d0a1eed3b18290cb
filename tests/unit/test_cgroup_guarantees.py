"""VMGUARPAGES and OOMGUARPAGES on a fake v2 tree: the kernel gives none more than its parent has."""

import errno
import threading
from pathlib import Path

import pytest

from hostd.cgroup import files, guarantees, limits
from hostd.cgroup.hierarchies import Hierarchy
from hostd.cgroup.limits import NONE, Limits
from hostd.cgroup.tree import CgroupTree, CtCgroup
from hostd.errors import Failure

MIB = 1 << 20


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CgroupTree:
    root = tmp_path / "vz"
    for directory in (root, root / "101", root / "102"):
        directory.mkdir()
        (directory / "memory.low").write_text("0\n")
        (directory / "memory.min").write_text("0\n")
    (root / "cgroup.subtree_control").write_text("memory\n")
    monkeypatch.setattr(files, "write", lambda path, value: Path(path).write_text(f"{value}\n"))
    return CgroupTree("vz", (Hierarchy(str(tmp_path), frozenset(), unified=True),))


def held(tree: CgroupTree, name: str) -> list[str]:
    """What our directory has, and each container."""
    root = tree.unified_root
    return [files.read(f"{place}/{name}") for place in (root, f"{root}/101", f"{root}/102")]


def test_our_directory_has_the_sum(tree: CgroupTree) -> None:
    one, two = CtCgroup(tree, 101), CtCgroup(tree, 102)
    limits.apply(one, Limits(kept_low=10 * MIB, kept_min=4 * MIB), NONE)
    limits.apply(two, Limits(kept_low=5 * MIB), NONE)
    assert held(tree, "memory.low") == [str(15 * MIB), str(10 * MIB), str(5 * MIB)]
    assert held(tree, "memory.min") == [str(4 * MIB), str(4 * MIB), "0"]
    limits.apply(one, NONE, Limits(kept_low=10 * MIB, kept_min=4 * MIB))
    assert held(tree, "memory.low") == [str(5 * MIB), "0", str(5 * MIB)]
    assert held(tree, "memory.min") == ["0", "0", "0"]


def test_some_of_the_host_can_always_be_reclaimed(tree: CgroupTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was promised: of what nobody may take our directory has three quarters of the host's memory at most."""
    monkeypatch.setattr(guarantees, "_ram", lambda: 16 * MIB)
    limits.apply(CtCgroup(tree, 101), Limits(kept_low=10 * MIB, kept_min=10 * MIB), NONE)
    assert held(tree, "memory.min") == [str(10 * MIB), str(10 * MIB), "0"]
    limits.apply(CtCgroup(tree, 102), Limits(kept_low=8 * MIB, kept_min=8 * MIB), NONE)
    assert held(tree, "memory.min") == [str(12 * MIB), str(10 * MIB), str(8 * MIB)]
    assert held(tree, "memory.low") == [str(18 * MIB), str(10 * MIB), str(8 * MIB)]
    guarantees.settle(tree)
    assert held(tree, "memory.min")[0] == str(12 * MIB)


def test_a_container_of_an_earlier_version_may_have_all(tree: CgroupTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is set or started again."""
    monkeypatch.setattr(guarantees, "_ram", lambda: 16 * MIB)
    for name in guarantees.FILES:
        Path(tree.unified_root or "", "101", name).write_text("max\n")
    limits.apply(CtCgroup(tree, 102), Limits(kept_low=MIB, kept_min=MIB), NONE)
    assert held(tree, "memory.low")[0] == "max" and held(tree, "memory.min")[0] == str(12 * MIB)


def test_the_next_daemon_takes_that_away(tree: CgroupTree) -> None:
    """And leaves what has a number."""
    for ctid, text in ((101, "max\n"), (102, f"{MIB}\n")):
        for name in guarantees.FILES:
            Path(tree.unified_root or "", str(ctid), name).write_text(text)
    for name in guarantees.FILES:
        Path(tree.unified_root or "", name).write_text("max\n")
    guarantees.take_over(tree)
    for name in guarantees.FILES:
        assert held(tree, name) == [str(MIB), "0", str(MIB)]


def test_memory_in_huge_pages_is_none_to_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    meminfo = "MemTotal:       16384 kB\nMemFree:         100 kB\nHugetlb:         4096 kB\n"
    monkeypatch.setattr(files, "read", lambda path: meminfo)
    assert guarantees._ram() == 12 * MIB
    monkeypatch.setattr(files, "read", lambda path: meminfo.partition("Hugetlb")[0])
    assert guarantees._ram() == 16 * MIB


def test_of_a_container_that_is_gone_nothing_stays(tree: CgroupTree) -> None:
    limits.apply(CtCgroup(tree, 101), Limits(kept_low=10 * MIB), NONE)
    limits.apply(CtCgroup(tree, 102), Limits(kept_low=5 * MIB), NONE)
    root = Path(tree.unified_root or "")
    for file in (root / "101").iterdir():
        file.unlink()
    (root / "101").rmdir()
    guarantees.settle(tree)
    assert files.read(f"{root}/memory.low") == str(5 * MIB)


def test_a_refusal_takes_back_the_sum(tree: CgroupTree) -> None:
    """The row of the other file comes later, and is refused."""
    Path(tree.unified_root or "", "101", "memory.min").unlink()
    with pytest.raises(Failure):
        limits.apply(CtCgroup(tree, 101), Limits(kept_low=MIB, kept_min=MIB), NONE)
    assert held(tree, "memory.low") == ["0", "0", "0"]


def test_v1_has_nothing_like_it(tmp_path: Path) -> None:
    (tmp_path / "vz" / "101").mkdir(parents=True)
    cgroup = CtCgroup(CgroupTree("vz", (Hierarchy(str(tmp_path), frozenset({"memory"})),)), 101)
    limits.apply(cgroup, Limits(kept_low=MIB, kept_min=MIB), NONE)
    assert list((tmp_path / "vz" / "101").iterdir()) == []


def test_a_set_that_fails_leaves_the_sums_to_others(tree: CgroupTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may be adding up: nobody keeps it waiting for longer than a write takes."""
    write = files.write

    def broken(path: str, value: str) -> None:
        if path == f"{tree.unified_root}/memory.low" and value == str(10 * MIB):
            raise OSError(errno.EIO, "broken", path)
        write(path, value)

    monkeypatch.setattr(files, "write", broken)
    with pytest.raises(Failure) as failure:
        limits.apply(CtCgroup(tree, 101), Limits(kept_low=10 * MIB), NONE)
    assert failure.value.__cause__ is not None, "its traceback is still there"
    arguments = (CtCgroup(tree, 102), Limits(kept_low=5 * MIB), NONE)
    other = threading.Thread(target=limits.apply, args=arguments, daemon=True)
    other.start()
    other.join(10)
    assert held(tree, "memory.low") == [str(5 * MIB), "0", str(5 * MIB)]
