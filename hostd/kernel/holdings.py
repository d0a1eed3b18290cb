"""What processes hold, as /proc tells it: descriptors, terminals, locks, queued signals, locked memory.

Nothing here touches a file of the processes: links are read and not followed, so no file system of a guest can hold
anybody up.  A process that ends meanwhile holds nothing.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

PROC = "/proc"
MOST_LINKS = 200_000  # a second's work; one guest can have many more
MOST_LOCKS = 50_000  # as well: the kernel goes through all of them for each page of the list
_KIB = 1024
_TTY_INDEX = re.compile(rb"^tty-index:\s*([0-9]+)$", re.MULTILINE)
_FIGURE = re.compile(rb"^(Uid|VmLck|SigQ):\t *([0-9]+)", re.MULTILINE)
_MASTERS = re.compile(r"/(pts/)?ptmx$")
_SLAVE = re.compile(r"/pts/([0-9]{1,7})(?: \(deleted\))?$")  # whose other end is closed


class Status(NamedTuple):
    """Of one process: bytes that it keeps in memory, and the signals that wait for its user."""

    user: int
    locked: int
    signals: int


def open_files(pids: Iterable[int], proc: str = PROC) -> int:
    """How many descriptors *pids* have; one that two processes share counts twice."""
    return sum(_descriptors(f"{proc}/{pid}/fd") for pid in pids)


def _descriptors(directory: str) -> int:
    """Linux 6.2 and newer tell the number as the size of the directory."""
    try:
        return os.stat(directory).st_size or len(os.listdir(directory))
    except OSError:
        return 0


def terminals(pids: Iterable[int], proc: str = PROC) -> int | None:
    """How many pseudo-terminals *pids* have open, by either end.  None for more descriptors than anybody waits for."""
    found: set[int] = set()
    left = MOST_LINKS
    for pid in pids:
        for number, target in links(f"{proc}/{pid}/fd"):
            left -= 1
            if left < 0:
                return None
            if slave := _SLAVE.search(target):
                found.add(int(slave[1]))
            elif _MASTERS.search(target):
                found.update(_index(f"{proc}/{pid}/fdinfo/{number}"))
    return len(found)


def links(directory: str) -> Iterable[tuple[str, str]]:
    """The names and targets of what is in *directory*, such as /proc/PID/fd."""
    try:
        with os.scandir(directory) as entries:  # a million of them need not be in memory at once
            for entry in entries:
                with suppress(OSError):  # closed meanwhile
                    yield entry.name, os.readlink(entry.path)
    except OSError:
        return


def _index(path: str) -> list[int]:
    match = _TTY_INDEX.search(_read(path))
    return [int(match[1])] if match else []


def statuses(pids: Iterable[int], proc: str = PROC) -> list[Status]:
    return [status for pid in pids if (status := _status(_read(f"{proc}/{pid}/status"))) is not None]


def _status(text: bytes) -> Status | None:
    """A process chooses its name, in which the kernel masks only newlines."""
    found = {match[1]: int(match[2]) for match in _FIGURE.finditer(text)}
    if b"Uid" not in found or b"SigQ" not in found:
        return None
    return Status(found[b"Uid"], found.get(b"VmLck", 0) * _KIB, found[b"SigQ"])  # a zombie has no memory


def queued_signals(found: Iterable[Status]) -> int:
    """The kernel counts them by user: every process of one tells the same number, or one of a moment later."""
    by_user: dict[int, int] = {}
    for status in found:
        by_user[status.user] = max(by_user.get(status.user, 0), status.signals)
    return sum(by_user.values())


def locks(path: str = f"{PROC}/locks") -> Mapping[int, int] | None:
    """How many file locks each pid of the machine holds.  Locks of descriptors (OFD) belong to none.  None for more
    than anybody waits for.
    """
    held: Counter[int] = Counter()
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file):
                if number >= MOST_LOCKS:
                    return None
                words = line.split()
                if len(words) > 4 and words[1] != b"->":  # that one waits for it
                    held[int(words[4])] += 1
    except OSError:
        pass  # a kernel without
    return held


def _read(path: str) -> bytes:
    """b"" when it is gone."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
