"""User id ranges: leased when a container starts, given back when it is down; nothing on disk depends on them.

A range is 65536 ids at a multiple of 65536.  Hostds with a prefix begin at a place of their own, so that two on one
machine do not hand out the same ids; ranges in /etc/subuid belong to others.
"""

import glob
import zlib
from collections.abc import Iterable

from hostd.checkpoint import images_dir
from hostd.checkpoint.restore import saved_uid_base
from hostd.config.paths import Paths
from hostd.container import record
from hostd.errors import Exit, Failure

RANGE = 65536
FIRST = 28672  # 0x70000000: above the ranges systemd-nspawn takes for itself
LAST = 32765  # 0x7FFDFFFF: below systemd's foreign ranges
WINDOW = (LAST - FIRST) // 2  # the plain installation has one half, prefixes share the other


def window(prefix_tag: str) -> range:
    """The multiples of 65536 that the hostd with *prefix_tag* may lease."""
    first = FIRST + WINDOW if prefix_tag else FIRST
    return range(first, first + WINDOW)


def lease(prefix_tag: str, taken: Iterable[int], foreign: Iterable[tuple[int, int]]) -> int:
    """The lowest free base; *taken* are leased bases, *foreign* (start, count) ranges of /etc/subuid."""
    used = set(taken)
    others = list(foreign)
    candidates = window(prefix_tag)
    start_at = zlib.crc32(prefix_tag.encode()) % len(candidates)
    for multiple in (*candidates[start_at:], *candidates[:start_at]) if prefix_tag else candidates:
        base = multiple * RANGE
        if base not in used and not any(
            start < base + RANGE and base < start + count for start, count in others
        ):
            return base
    raise Failure(Exit.RESOURCE, f"no free range of user ids: all {WINDOW} are leased")


def subuid(path: str = "/etc/subuid") -> list[tuple[int, int]]:
    """The (start, count) ranges that *path* gives to users of the host; lines that do not parse are nobody's."""
    ranges = []
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        parts = line.split(":")
        if len(parts) == 3 and parts[1].isdigit() and parts[2].isdigit():
            ranges.append((int(parts[1]), int(parts[2])))
    return ranges


def taken(paths: Paths, *, but: int) -> set[int]:
    """The bases leased to containers other than *but*: those that run, and those that sleep in a checkpoint."""
    bases: set[int] = set()
    for ctid in record.recorded(paths):
        other = record.load(paths, ctid)
        if ctid != but and other is not None and other.uid_base is not None:
            bases.add(other.uid_base)
    return bases | {base for ctid, base in _suspended(paths) if ctid != but}


def _suspended(paths: Paths) -> list[tuple[int, int]]:
    found = []
    for path in glob.glob(glob.escape(paths.dump_dir) + "/Dump.*"):
        ctid = path.rpartition(".")[2]
        if ctid.isdigit() and images_dir.exists(path):
            try:
                found.append((int(ctid), saved_uid_base(path)))
            except Failure:
                continue  # damaged: cannot come back
    return found
