"""User id ranges: leased when a container starts, given back when it is down; nothing on disk depends on them.

A range begins at a multiple of 65536 and is 65536 ids, or a multiple of that for a container that gives ids to
containers of its own; ranges in /etc/subuid belong to others.  Several hostds, each with its own
prefix, know of each other by links in a directory of the machine: what is leased is in the records of all of them.
"""

import os
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from hostd.config.paths import Paths
from hostd.container.leased import Installation, as_configured
from hostd.errors import Exit, Failure
from hostd.kernel import flock
from hostd.kernel.fd import Fd
from hostd.kernel.namespace import IDS
from hostd.log import log

RANGE = IDS
NESTING = 16 * RANGE  # it holds what useradd gives users as subordinate ids, from 100000 or from 524288 on
FIRST = 28672  # 0x70000000: above the ranges systemd-nspawn takes for itself
LAST = 32765  # 0x7FFDFFFF: below systemd's foreign ranges
WINDOW = (LAST - FIRST) // 2  # the plain installation has one half, prefixes share the other
PATIENCE = 10.0  # seconds; a hostd has the machine's lock for as long as it takes to choose a range and to note it


def window(prefix_tag: str) -> range:
    """The multiples of 65536 that the hostd with *prefix_tag* may lease."""
    first = FIRST + WINDOW if prefix_tag else FIRST
    return range(first, first + WINDOW)


def blocks(leased: Iterable[range]) -> set[int]:
    """Where the pieces of RANGE ids begin of which *leased* are made."""
    return {base for ids in leased for base in ids[::RANGE]}


def lease(prefix_tag: str, taken: Iterable[range], foreign: Iterable[tuple[int, int]], count: int = RANGE) -> range:
    """The lowest *count* ids that are free; *taken* are leased ones, *foreign* (start, count) ranges of /etc/subuid."""
    used = blocks(taken)
    others = list(foreign)
    candidates = window(prefix_tag)
    start_at = zlib.crc32(prefix_tag.encode()) % len(candidates)
    for multiple in (*candidates[start_at:], *candidates[:start_at]) if prefix_tag else candidates:
        ids = range(multiple * RANGE, multiple * RANGE + count)
        if ids.stop > candidates.stop * RANGE or not used.isdisjoint(ids[::RANGE]):
            continue
        if not any(start < ids.stop and ids.start < start + length for start, length in others):
            return ids
    raise Failure(Exit.RESOURCE, f"no free range of {count} user ids among the {WINDOW * RANGE} that may be leased")


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


class Leases:
    """What is leased on this machine.  `ours`: CTID -> ids of our containers that run, as the records say."""

    def __init__(self, paths: Paths) -> None:
        self.ours: dict[int, range] = {}
        self._paths = paths
        self._directory = paths.hostds_dir
        self._us = Installation(lambda: paths)
        self._others: dict[str, Installation] = {}
        self._threads = threading.Lock()  # our own need not wait for each other by trying again and again
        self._told: set[str] = set()

    @contextmanager
    def taken(self, *, but: int) -> Iterator[set[range]]:
        """The ids leased on this machine, to all containers but our *but*.

        Until the end no other hostd leases one: what is chosen must be in the record by then.  Raises Failure(9) when
        the machine's lock is not to be had.
        """
        with self._locked():
            self._join()
            ours = {**self._us.suspended(), **self.ours}
            yield {ids for ctid, ids in ours.items() if ctid != but}.union(*self._known())

    def leave(self) -> None:
        """This hostd has nothing leased any more, unless it sleeps in a checkpoint.  Raises Failure(9), OSError."""
        link = self._link(self._paths)
        if os.path.lexists(link):
            with self._locked():
                if not self._us.leased():
                    os.unlink(link)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        with Fd.open(self._directory, os.O_RDONLY | os.O_DIRECTORY) as directory, ExitStack() as held:
            try:
                held.enter_context(_in_turn(self._threads))
                held.enter_context(flock.held(directory, PATIENCE))
            except TimeoutError:
                text = f"no user ids can be leased: {self._directory} is locked by {flock.holder(directory)}"
                raise Failure(Exit.LOCKED, text) from None
            yield

    def _link(self, paths: Paths) -> str:
        return f"{self._directory}/{paths.cgroup_root}"

    def _join(self) -> None:
        """Have the others know of us."""
        link, prefix = self._link(self._paths), self._paths.prefix or "/"
        with suppress(OSError):
            if os.readlink(link) == prefix:
                return
        fresh = f"{self._directory}/.new"
        try:
            with suppress(FileNotFoundError):
                os.unlink(fresh)
            os.symlink(prefix, fresh)
            os.rename(fresh, link)
        except OSError as error:
            self._warn(f"{link}: {error.strerror}: other hostds may lease the user ids of our containers")

    def _known(self) -> Iterator[set[range]]:
        """What each of the other installations has leased; links to those that were removed go away."""
        for name in os.listdir(self._directory):
            link = f"{self._directory}/{name}"
            try:
                if link != self._link(self._paths):
                    yield self._of_link(link)
            except OSError as error:
                self._warn(f"{link} is ignored, it leads to no hostd: {error.strerror}")

    def _of_link(self, link: str) -> set[range]:
        paths = Paths(os.readlink(link))
        other = self._others.get(paths.prefix)
        if other is None:
            other = self._others[paths.prefix] = Installation(as_configured(paths))
        if self._link(paths) == link and other.exists():
            return other.leased()
        del self._others[paths.prefix]
        os.unlink(link)
        return set()

    def _warn(self, line: str) -> None:
        """Once: every start comes here."""
        if line not in self._told:
            self._told.add(line)
            log.warning("%s", line)


@contextmanager
def _in_turn(lock: threading.Lock) -> Iterator[None]:
    if not lock.acquire(timeout=PATIENCE):
        raise TimeoutError
    try:
        yield
    finally:
        lock.release()
