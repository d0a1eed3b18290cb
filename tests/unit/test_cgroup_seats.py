"""Who runs on which processors, on trees of files."""

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.cgroup import limits, notes, seats
from hostd.cgroup.hierarchies import Hierarchy
from hostd.cgroup.limits import Limits
from hostd.cgroup.tree import CgroupTree, CtCgroup
from hostd.config.values import numbers
from hostd.container import host_side

ALL = "0-3"


@pytest.fixture(params=["v1", "v2"])
def tree(tmp_path: Path, request: pytest.FixtureRequest) -> CgroupTree:
    """Four processors, and no container."""
    root = tmp_path / "vz"
    root.mkdir()
    (root / "cpuset.cpus").write_text("" if request.param == "v2" else ALL)
    if request.param == "v1":
        for name in ("cgroup.clone_children", "cpuset.mems"):
            (root / name).write_text("0")
        return CgroupTree("vz", (Hierarchy(str(tmp_path), frozenset({"cpuset"})),))
    (root / "cpuset.cpus.effective").write_text(ALL)
    (root / "cgroup.subtree_control").write_text("cpuset\n")
    return CgroupTree("vz", (Hierarchy(str(tmp_path), frozenset(), unified=True),))


def put(tree: CgroupTree, ctid: int, held: str) -> str:
    """The cgroup of a container that runs on *held* ("": on all)."""
    path = Path(tree.roots[0], str(ctid))
    path.mkdir()
    (path / "cpuset.cpus").write_text(held or ("" if tree.mode == "v2" else ALL))
    return str(path)


def held(tree: CgroupTree, ctid: int) -> str:
    return Path(tree.roots[0], str(ctid), "cpuset.cpus").read_text().strip()


def test_where_the_fewest_are(tree: CgroupTree) -> None:
    put(tree, 1, "0-1")
    put(tree, 2, "0,3")
    put(tree, 3, "")
    new = put(tree, 101, "")
    assert seats.chosen(new, ("", 1)) == "2"
    assert seats.chosen(new, ("", 2)) == "1-2"
    assert seats.chosen(new, ("", 3)) == "1-3"
    assert seats.chosen(new, ("0-1", 1)) == "1"


@pytest.mark.parametrize(("mask", "count"), [("", 0), ("", 4), ("", 9), ("1-2", 2), ("1-2", 0), ("1-2", 7)])
def test_nothing_to_choose(tree: CgroupTree, mask: str, count: int) -> None:
    assert seats.chosen(put(tree, 101, "0"), (mask, count)) == mask


def test_what_it_has_it_keeps(tree: CgroupTree) -> None:
    put(tree, 1, "2-3")
    ours = put(tree, 101, "2-3")
    assert seats.chosen(ours, ("", 2)) == "2-3"
    assert seats.chosen(ours, ("0-1,3", 2)) == "0-1"
    put(tree, 2, "0-1")
    assert seats.chosen(ours, ("", 1)) == "2", "of equal ones, one that it has"


def test_who_stays_moves_to_where_somebody_left(tree: CgroupTree, monkeypatch: pytest.MonkeyPatch) -> None:
    masks = {1: ALL, 2: ALL, 3: "0-1", 4: ""}
    monkeypatch.setattr(notes, "seated", lambda cgroup: masks[cgroup.ctid])
    for ctid, where in {1: "0-1", 2: "0-1", 3: "0", 4: "0"}.items():
        put(tree, ctid, where)
    seats.settle(tree)
    assert held(tree, 4) == "0", "its owner said so"
    assert held(tree, 3) in ("0", "1")
    load = seats.loads({str(ctid): numbers(held(tree, ctid)) for ctid in masks})
    assert sorted(load[number] for number in range(4)) == [1, 1, 2, 2]


def test_nobody_moves_to_a_processor_that_is_off(tree: CgroupTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was there when the container was started."""
    monkeypatch.setattr(notes, "seated", lambda cgroup: "0-7")
    for ctid in (1, 2, 3, 4, 5, 6, 7, 8):
        put(tree, ctid, "0-1" if ctid < 5 else "2-3")
    seats.settle(tree)
    assert {held(tree, ctid) for ctid in range(1, 9)} == {"0-1", "2-3"}


def test_one_that_cannot_be_moved_is_nobodys_failure(tree: CgroupTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with cgroups inside that cannot be looked at."""
    monkeypatch.setattr(notes, "seated", lambda cgroup: ALL)
    for ctid in (1, 2):
        put(tree, ctid, "0")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENAMETOOLONG, "File name too long")

    monkeypatch.setattr(seats, "perform", refuse)
    seats.settle(tree)
    assert held(tree, 1) == held(tree, 2) == "0"


def test_nobody_moves_by_what_he_had_while_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    for name in ("processors", "memory"):
        monkeypatch.setattr(notes, name, lambda cgroup, number: None)
    monkeypatch.setattr(notes, "seats", lambda cgroup, allowed: done.append(allowed))
    monkeypatch.setattr(limits, "apply", lambda *_: done.append("applied"))
    monkeypatch.setattr(limits, "take_back", lambda *_: done.append("taken back"))
    share = SimpleNamespace(look=lambda ctid: None)
    cgroup = cast(CtCgroup, SimpleNamespace(ctid=101, tree=SimpleNamespace(share=share)))
    host_side.set_limits(cgroup, Limits(cpus=2, seats=2, cpumask="0-1"))
    host_side.take_back_limits(cgroup, Limits(cpus=2, seats=2, cpumask="0-3"))
    assert done == ["", "applied", "0-1", "", "taken back", "0-3"]


def test_nobody_is_there(tree: CgroupTree) -> None:
    """And the tree can be made again: what was found out about v2 makes no v1 of it."""
    seats.settle(tree)
    tree.prepare(again=True)


SETS = st.dictionaries(
    st.integers(1, 20).map(str), st.frozensets(st.integers(0, 7), min_size=1, max_size=7), max_size=12
)


@given(SETS)
def test_moves_end_in_a_balance(start: dict[str, frozenset[int]]) -> None:
    """Each leaves as many processors to everybody, and there is an end."""
    now, everywhere = dict(start), frozenset(range(8))
    seated = dict.fromkeys(now, everywhere)
    for _ in range(200):
        step = seats.move(now, seated)
        if step is None:
            break
        path, after = step
        assert len(after) == len(now[path])
        now[path] = after
    else:
        raise AssertionError(f"no end: {start}")
    load = seats.loads(now)
    if all(len(one) == 1 for one in now.values()):
        assert max(load[number] for number in everywhere) - min(load[number] for number in everywhere) <= 1


def test_a_tree_without_cpusets(tmp_path: Path) -> None:
    (tmp_path / "vz" / "1").mkdir(parents=True)
    tree = CgroupTree("vz", (Hierarchy(str(tmp_path), frozenset({"memory"})),))
    seats.settle(tree)
    assert CtCgroup(tree, 1).path("cpuset") is None
