"""The text of /proc/user_beancounters: written of what is known of containers, and read from a file.  Pure."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from hostd.command.figures import Counter
from hostd.command.row import Row
from hostd.config.values import UNLIMITED, Pair

VERSION = "Version: 2.5"
DUMMY = "dummy"
# Scripts count the rows: 24, some of which mean nothing.
ORDER = (
    *("kmemsize", "lockedpages", "privvmpages", "shmpages", DUMMY, "numproc", "physpages", "vmguarpages"),
    *("oomguarpages", "numtcpsock", "numflock", "numpty", "numsiginfo", "tcpsndbuf", "tcprcvbuf", "othersockbuf"),
    *("dgramrcvbuf", "numothersock", "dcachesize", "numfile", DUMMY, "swappages", DUMMY, "numiptent"),
)
NAMES = frozenset(ORDER) - {DUMMY}
_ROW = re.compile(r"(?:([0-9]{1,10}): )?([a-z0-9_]{1,32})((?: [0-9]{1,20}){5})")


class BadText(ValueError):
    """This is no such file; the text says why."""


class Resource(NamedTuple):
    """One row.  *ctid* None: of a file that does not say whose it is."""

    ctid: int | None
    name: str
    held: int
    maxheld: int
    barrier: int
    limit: int
    failcnt: int


def resources(row: Row) -> Iterator[Resource]:
    """What a running container has of each row; what is not known is 0, since the format has only numbers."""
    for name in ORDER:
        counter = row.usage.counters.get(name, Counter(0))
        barrier, limit = (0, 0) if name == DUMMY else _limits(row, name)
        most = max(counter.held, counter.maxheld or 0)
        yield Resource(row.ctid, name, counter.held, most, barrier, limit, counter.failcnt or 0)


def _limits(row: Row, name: str) -> Pair:
    return row.limits(name) or (UNLIMITED, UNLIMITED)


def text(rows: Iterable[Row]) -> str:
    """The file as root of the host reads it."""
    lines = [VERSION, _line("uid", "resource", ("held", "maxheld", "barrier", "limit", "failcnt"))]
    for row in rows:
        mark = f"{row.ctid}:"
        for one in resources(row):
            figures = (one.held, one.maxheld, one.barrier, one.limit, one.failcnt)
            lines.append(_line(mark, one.name, figures))
            mark = ""
    return "".join(f"{line}\n" for line in lines)


def _line(mark: str, name: str, figures: Iterable[object]) -> str:
    return f"{mark:>10}  {name:<12} " + " ".join(f"{figure:>20}" for figure in figures)


def parse(text: str) -> Iterator[Resource]:
    """The rows of such a file, dummies included; /proc/bc/resources as well.  Raises BadText.

    A guest may have written it: nothing gets through but names and numbers.
    """
    ctid: int | None = None
    for line in text.splitlines():
        words = line.split()
        if not words or words[0] == "uid":
            continue
        if words[0] == "Version:":
            if words[1:] != ["2.5"]:
                raise BadText(f"unknown version: {_harmless(' '.join(words[1:]))}")
            continue
        row = _ROW.fullmatch(" ".join(words))
        if row is None:
            raise BadText(f"not a row of beancounters: {_harmless(line)}")
        if row[1]:
            ctid = int(row[1])
        held, maxheld, barrier, limit, failcnt = map(int, row[3].split())
        yield Resource(ctid, row[2], held, maxheld, barrier, limit, failcnt)


def _harmless(text: str) -> str:
    """The beginning of it, fit for a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text.strip()[:60])
