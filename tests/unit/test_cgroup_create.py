"""A container's cgroup is made bounded: on a fake tree, whose files are there as soon as its directory is."""

import os
from pathlib import Path

import pytest

from hostd.cgroup import files
from hostd.cgroup.hierarchies import Hierarchy
from hostd.cgroup.tree import CgroupTree, CtCgroup
from hostd.errors import Failure


@pytest.fixture
def cgroup(tmp_path: Path) -> CtCgroup:
    """A hybrid host's."""
    names = ("cpu", "unified")
    trees = [Hierarchy(str(tmp_path / name), frozenset({name}), unified=name == "unified") for name in names]
    for tree in trees:
        os.mkdir(tree.path)
    return CtCgroup(CgroupTree("vz", tuple(trees)), 101)


def test_the_unified_tree_bounds_what_is_made_inside(cgroup: CtCgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, str] = {}
    monkeypatch.setattr(files, "write", written.__setitem__)
    cgroup.create(None)
    path = cgroup.paths()[-1]
    assert written == {f"{path}/cgroup.max.descendants": "4096", f"{path}/cgroup.max.depth": "64"}


def test_one_that_cannot_be_bounded_is_not_made(cgroup: CtCgroup) -> None:
    with pytest.raises(Failure, match=r"cgroup\.max\.descendants: No such file"):
        cgroup.create(None)
    assert not cgroup.exists()
