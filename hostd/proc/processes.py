"""The processes of a container, by their numbers inside.

They are asked for by descriptors: /proc/NUMBER/status has the groups of a process before its numbers, and a guest may
give it 65,536 of them.
"""

import posix
from _bisect import bisect_left

from hostd.proc.caller import read
from hostd.proc.host import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from hostd.proc.caller import Group

_MOST_GROUPS = 512  # that are looked into: a guest may make any number


def numbers(pids: "list[int]", start: int, most: int) -> "Iterator[tuple[int, int]]":
    """(number on the host, number inside) of at most *most* processes, from number *start* of the host's on.

    *pids*: what `outside` told a moment ago, ascending.  Those that have ended are taken out: a guest may have ended
    all of them, and nobody is to look for them twice.  A number that has become another container's since is one that
    leads nowhere.
    """
    at = bisect_left(pids, start)
    for _ in range(most):
        alive = at
        while alive < len(pids) and not (inside := _inside(pids[alive])):
            alive += 1
        del pids[at:alive]
        if at == len(pids):
            break
        yield pids[at], inside
        at += 1


def outside(group: "Group") -> "set[int]":
    """Of the cgroup and those below it; a guest has such on v2."""
    found: set[int] = set()
    left = [group.directory("pids")]
    for _ in range(_MOST_GROUPS):
        if not left:
            break
        here = left.pop()
        try:
            found.update(map(int, whole(f"{here}/cgroup.procs").split()))
            with posix.scandir(here) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
                    if len(left) == _MOST_GROUPS:
                        break
        except OSError:
            continue  # it is gone, or its path is too long
    return found


def _inside(pid: int) -> int:
    """0: it has ended, or is in no pid namespace but the host's."""
    try:
        fd = posix.pidfd_open(pid)
    except OSError:
        return 0
    try:
        text = read(f"/proc/self/fdinfo/{fd}")
    except OSError:
        return 0
    finally:
        posix.close(fd)
    numbers = text.rpartition(b"NSpid:")[2].split()
    return int(numbers[1]) if len(numbers) > 1 and numbers[1].isdigit() else 0
