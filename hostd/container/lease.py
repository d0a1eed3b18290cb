"""User id ranges: leased when a container starts, given back when it is down; nothing on disk depends on them.

A range is 65536 ids at a multiple of 65536; ranges in /etc/subuid belong to others.  Several hostds, each with its own
prefix, know of each other by links in a directory of the machine: what is leased is in the records of all of them.
"""

import fcntl
import glob
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache

from hostd.checkpoint import images_dir
from hostd.checkpoint.restore import saved_uid_base
from hostd.config.model import GlobalConfig
from hostd.config.paths import Paths
from hostd.container import record
from hostd.errors import Exit, Failure, VzError

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


@contextmanager
def taken(paths: Paths, ours: Mapping[int, int], *, but: int) -> Iterator[set[int]]:
    """The bases leased on this machine, to all containers but our *but*; *ours* are those of our running ones.

    Until the end no other hostd leases one: what is chosen must be in the record by then.
    """
    with _locked(paths.hostds_dir):
        link = f"{paths.hostds_dir}/{paths.cgroup_root}"
        if not os.path.islink(link):
            os.symlink(paths.prefix or "/", link)
        yield _bases({**_suspended(paths), **ours}, but).union(*(_leased(other) for other in _others(paths)))


def _bases(leases: Mapping[int, int], but: int) -> set[int]:
    return {base for ctid, base in leases.items() if ctid != but}


def leave(paths: Paths) -> None:
    """This hostd has nothing leased any more, unless it sleeps in a checkpoint."""
    if os.path.isdir(paths.hostds_dir) and not _leased(paths):
        with _locked(paths.hostds_dir), suppress(FileNotFoundError):
            os.unlink(f"{paths.hostds_dir}/{paths.cgroup_root}")


@contextmanager
def _locked(directory: str) -> Iterator[None]:
    os.makedirs(directory, mode=0o700, exist_ok=True)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _others(paths: Paths) -> Iterator[Paths]:
    """The other installations of the machine; links to those that were removed go away."""
    for name in os.listdir(paths.hostds_dir):
        link = f"{paths.hostds_dir}/{name}"
        other = Paths(os.readlink(link))
        if other.cgroup_root != name or not os.path.isdir(other.records_dir):
            os.unlink(link)
        elif other.prefix != paths.prefix:
            try:
                yield GlobalConfig.load(other).paths
            except VzError:
                yield other


def _leased(paths: Paths) -> set[int]:
    """The bases of one installation's containers: those that run, and those that sleep in a checkpoint."""
    loaded = (record.load(paths, ctid) for ctid in record.recorded(paths))
    return {one.uid_base for one in loaded if one and one.uid_base is not None} | set(_suspended(paths).values())


def _suspended(paths: Paths) -> dict[int, int]:
    """CTID -> base of the containers that sleep in a checkpoint."""
    found = {}
    for path in glob.glob(glob.escape(paths.dump_dir) + "/Dump.*"):
        ctid = path.rpartition(".")[2]
        if ctid.isdigit() and images_dir.exists(path):
            with suppress(Failure, FileNotFoundError):  # damaged: cannot come back
                found[int(ctid)] = _saved_base(path, os.stat(path).st_ctime_ns)
    return found


@lru_cache(maxsize=4096)  # a daemon that lives for months sees many checkpoints
def _saved_base(path: str, _changed: int) -> int:
    return saved_uid_base(path)
