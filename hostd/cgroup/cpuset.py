"""The processors and memory nodes that a container may use: cpuset.cpus and cpuset.mems, on v1 and v2.

On v2 the kernel cuts what the cgroups inside ask for.  On v1 it refuses a set that is smaller than a cgroup's below,
and leaves those as they are when it grows: so here they are taken along.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from hostd.cgroup import control, files
from hostd.cgroup.writes import Write
from hostd.config.values import list_text, numbers

Mask = Callable[[str, str], Iterator[Write]]  # of a directory and a list; "": all that there are


def mask(name: str, what: str) -> tuple[Mask, Mask]:
    """How the file *name* is written, on v1 and on v2."""

    def v1(path: str, wanted: str) -> Iterator[Write]:
        return _along(f"{path}/{name}", _below(path, name), what, wanted)

    def v2(path: str, wanted: str) -> Iterator[Write]:
        every = partial(_by_name, f"{os.path.dirname(path)}/{name}.effective")
        if wanted or files.read_optional(f"{path}/{name}"):
            yield Write(f"{path}/{name}", every(wanted), what, back=every)

    return v1, v2


def _by_name(effective: str, wanted: str) -> str:
    """The empty list of a new cgroup stands for all that its parent has, by the file *effective*.  It cannot be had
    again: the kernel gives no empty list to a cgroup that has processes (ENOSPC).
    """
    return wanted or files.read_optional(effective) or ""


def _along(top: str, below: list[str], what: str, wanted: str) -> Iterator[Write]:
    """Every cgroup stays a part of its parent at every moment: down when it grows, up when it shrinks."""
    before = _held(top)
    after = numbers(wanted) if wanted else _held(f"{os.path.dirname(os.path.dirname(top))}/{os.path.basename(top)}")
    followers = [file for file in below if _held(file) == before]
    for file in (top, *followers) if after - before else ():
        yield Write(file, list_text(before | after), what, inner=file != top)
    deeper: Callable[[], None] | None = partial(_give_up, top, after)
    for file in (*reversed(below), top):
        held = _held(file)
        if held - after:
            yield Write(file, list_text(held & after or after), what, shrink=deeper, inner=file != top)
            deeper = None


def _below(path: str, name: str) -> list[str]:
    """The file *name* of every cgroup below *path*, parents first.  The guest makes and removes them: what is gone is
    passed over; should the kernel mind, it says so.  So is what is so deep that its path is too long.
    """
    found = [path]
    for directory in found:
        with suppress(OSError), os.scandir(directory) as entries:
            inside = (entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
            found += [one for one in inside if len(os.fsencode(f"{one}/{name}")) <= files.LONGEST]
    return [f"{one}/{name}" for one in found[1:]]


def _give_up(top: str, after: frozenset[int]) -> None:
    """Before those above them shrink: what is too deep for a path.  That the guest does not get back."""
    path, name = os.path.split(top)
    for directory, inside in control.walk(path):
        file = f"/proc/self/fd/{directory}/{inside}/{name}"
        held = _held(file)
        if held - after and not control.path_in(directory, inside, name):
            control.write_if_there(file, list_text(held & after or after))


def _held(file: str) -> frozenset[int]:
    text = files.read_optional(file)
    return numbers(text) if text else frozenset()
