"""Whose limit an EAGAIN of PID 1 is."""

import errno
import os
from types import SimpleNamespace
from typing import cast

import pytest

from hostd.cgroup.root import CgroupTree
from hostd.container import numproc
from hostd.container.container import Container
from hostd.errors import Failure


def container(directory: str, held: int, limit: str) -> Container:
    """A container of files, as the pids controller has them."""
    tree = SimpleNamespace(mode="v2", v1_roots=[], unified_root=directory, root_of=lambda name: directory)
    os.makedirs(f"{directory}/101")
    for name, text in (("pids.current", held), ("pids.max", limit), ("pids.events", "max 3")):
        with open(f"{directory}/101/{name}", "w", encoding="ascii") as file:
            file.write(f"{text}\n")
    world = SimpleNamespace(tree=cast(CgroupTree, tree))
    return cast(Container, SimpleNamespace(world=world, ctid=101))


def fork(number: int) -> None:
    raise OSError(number, os.strerror(number))


@pytest.mark.parametrize(("held", "limit"), [(200, "200"), (185, "200")])
def test_numproc_is_named(tmp_path: os.PathLike[str], held: int, limit: str) -> None:
    """A fork bomb's processes come and go."""
    ct = container(str(tmp_path), held, limit)
    with pytest.raises(Failure) as failed, numproc.forking(ct):
        fork(errno.EAGAIN)
    assert failed.value.exit_code == 6 and "numproc" in failed.value.message
    assert f"{held} processes" in failed.value.message and limit in failed.value.message
    assert failed.value.hint == "raise it with `vzctl set 101 --numproc N`"


@pytest.mark.parametrize(
    ("held", "limit", "number"), [(20, "200", errno.EAGAIN), (200, "max", errno.EAGAIN), (200, "200", errno.ENOMEM)]
)
def test_it_is_not_blamed_for_what_others_did(
    tmp_path: os.PathLike[str], held: int, limit: str, number: int
) -> None:
    ct = container(str(tmp_path), held, limit)
    with pytest.raises(OSError, match=os.strerror(number)), numproc.forking(ct):
        fork(number)


def test_refusals_are_counted(tmp_path: os.PathLike[str]) -> None:
    assert numproc.refusals(container(str(tmp_path), 1, "max")) == 3
