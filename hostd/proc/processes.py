"""The processes of a container, by their numbers inside.

They are asked for by descriptors: /proc/NUMBER/status has the groups of a process before its numbers, and a guest may
give it 65,536 of them.
"""

import posix

from hostd.proc.caller import read
from hostd.proc.host import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from hostd.proc.caller import Group

_MOST_GROUPS = 512  # that are looked into: a guest may make any number


def numbers(group: "Group", start: int, most: int) -> "Iterator[tuple[int, int]]":
    """(number on the host, number inside) of at most *most* processes, from number *start* of the host's on."""
    for pid in sorted(_outside(group)):
        inside = _inside(pid) if pid >= start else 0
        if inside:
            yield pid, inside
            most -= 1
        if not most:
            break


def _outside(group: "Group") -> "set[int]":
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
                left += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
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
