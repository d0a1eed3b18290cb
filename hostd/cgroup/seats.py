"""Which processors a container with --cpus runs on: as many as that, where the fewest others have theirs.

Then all that is inside counts that number, whatever it asks: nproc(1), sched_getaffinity(2), and every program that
starts a thread for each.  Who sits where is read from the cpusets of all containers; those that may run everywhere do
not count, because the scheduler moves them out of the way.
"""

import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping

from hostd.cgroup import cpuset, files, notes
from hostd.cgroup.tree import CgroupTree, CtCgroup
from hostd.cgroup.writes import Write, perform
from hostd.config.values import list_text, numbers
from hostd.errors import Failure
from hostd.log import log

Wanted = tuple[str, int]  # a list of processors ("": all) and how many of them; 0: each
MOST_MOVES = 64  # at a time: each is a look at everybody, and a write or more

_V1, _V2 = cpuset.mask("cpuset.cpus", "CPUMASK")
_choice = threading.Lock()  # from looking to writing: two that start together do not choose the same


def v1(path: str, wanted: Wanted) -> Iterator[Write]:
    with _choice:
        yield from _V1(path, chosen(path, wanted))


def v2(path: str, wanted: Wanted) -> Iterator[Write]:
    with _choice:
        yield from _V2(path, chosen(path, wanted))


def chosen(path: str, wanted: Wanted) -> str:
    """The list for the cgroup *path*: what it has, where that will do."""
    mask, count = wanted
    if not count:
        return mask
    root, held = os.path.dirname(path), _held(path)
    every = _every(root)
    allowed = numbers(mask) if mask else every
    if count >= len(allowed):
        return mask
    if len(held) == count and held <= allowed:
        return list_text(held)
    load = loads({name: one for name, one in _restricted(root, every).items() if name != path})
    return list_text(sorted(allowed, key=lambda number: (load[number], number not in held, number))[:count])


def settle(tree: CgroupTree) -> None:
    """Somebody has left: move others to where there is room now."""
    with _choice:
        _settle(tree)


def _settle(tree: CgroupTree) -> None:
    root = tree.root_of("cpuset")
    every = _every(root) if root else frozenset()
    held = _restricted(root, every) if root else {}
    masks = {path: notes.seated(CtCgroup(tree, int(os.path.basename(path)))) for path in held}
    seated = {path: numbers(mask) & every for path, mask in masks.items() if mask}  # not to one that is switched off
    for _ in range(MOST_MOVES):
        step = move(held, seated)
        if step is None:
            return
        path, after = step
        try:
            perform((_V2 if tree.mode == "v2" else _V1)(path, list_text(after)))
        except (Failure, OSError) as error:  # it leaves at this moment, or has cgroups of its own that mind
            log.info("stays on its processors: %s", error)
            del seated[path]
        else:
            held[path] = after


def move(
    held: Mapping[str, frozenset[int]], seated: Mapping[str, frozenset[int]]
) -> tuple[str, frozenset[int]] | None:
    """Who moves, and to which processors, so that they are shared out more evenly; None when nobody should.

    *held*: the processors of each; *seated*: who may be moved, and to which ones.
    """
    load = loads(held)
    for path, allowed in sorted(seated.items()):
        mine, free = held[path], sorted(allowed - held[path])
        fullest = max(sorted(mine), key=load.__getitem__)
        emptiest = min(free, key=load.__getitem__, default=fullest)
        if load[fullest] - load[emptiest] > 1:
            return path, mine - {fullest} | {emptiest}
    return None


def loads(held: Mapping[str, frozenset[int]]) -> Counter[int]:
    """How many have each processor."""
    return Counter(number for one in held.values() for number in one)


def _restricted(root: str, every: frozenset[int]) -> dict[str, frozenset[int]]:
    """The processors of each container below *root* that may not run on all."""
    with os.scandir(root) as entries:
        found = {entry.path: _held(entry.path) for entry in entries if entry.name.isdecimal()}
    return {path: held for path, held in found.items() if held and not held >= every}


def _held(path: str) -> frozenset[int]:
    text = files.read_optional(f"{path}/cpuset.cpus")
    return numbers(text) if text else frozenset()


def _every(root: str) -> frozenset[int]:
    text = files.read_optional(f"{root}/cpuset.cpus.effective") or files.read_optional(f"{root}/cpuset.cpus")
    return numbers(text) if text else frozenset()
