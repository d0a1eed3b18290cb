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


def container(directory: str, limit: str) -> Container:
    """A container of files, as the pids controller has them."""
    tree = SimpleNamespace(mode="v2", v1_roots=[], unified_root=directory, root_of=lambda name: directory)
    os.makedirs(f"{directory}/101")
    write(directory, "pids.max", limit)
    write(directory, "pids.events", "max 3")
    world = SimpleNamespace(tree=cast(CgroupTree, tree))
    return cast(Container, SimpleNamespace(world=world, ctid=101))


def write(directory: str, name: str, text: str) -> None:
    with open(f"{directory}/101/{name}", "w", encoding="ascii") as file:
        file.write(f"{text}\n")


def fork(directory: str, number: int, refusals: int) -> None:
    """One that fails, counted by the kernel as one of so many refusals of this limit."""
    write(directory, "pids.events", f"max {refusals}")
    raise OSError(number, os.strerror(number))


def test_numproc_is_named(tmp_path: os.PathLike[str]) -> None:
    ct = container(str(tmp_path), "200")
    with pytest.raises(Failure) as failed, numproc.forking(ct):
        fork(str(tmp_path), errno.EAGAIN, 4)
    assert failed.value.exit_code == 6
    assert failed.value.message == "numproc is reached: CT 101 may have 200 processes and threads"
    assert failed.value.hint == "raise it with `vzctl set 101 --numproc N`"


@pytest.mark.parametrize(("number", "refusals"), [(errno.EAGAIN, 3), (errno.ENOMEM, 4)])
def test_it_is_not_blamed_for_what_others_did(tmp_path: os.PathLike[str], number: int, refusals: int) -> None:
    ct = container(str(tmp_path), "200")
    with pytest.raises(OSError, match=os.strerror(number)), numproc.forking(ct):
        fork(str(tmp_path), number, refusals)


def test_refusals_are_counted(tmp_path: os.PathLike[str]) -> None:
    assert numproc.refusals(container(str(tmp_path), "max")) == 3
