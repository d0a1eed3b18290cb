"""What is told of mounted and running containers in numbers."""

from collections.abc import Mapping
from typing import NamedTuple


class Counter(NamedTuple):
    """One beancounter row in its own unit (bytes, pages of 4096 bytes, items)."""

    held: int
    maxheld: int | None = None
    failcnt: int | None = None


PARTS = frozenset(("processes", "load", "disk", "cpu", "io", "net"))  # of a usage, beside the beancounters


class Done(NamedTuple):
    """What a running container has done so far, in seconds of processor time and bytes; None: not known.

    *pressure*: percent of the last ten seconds in which something in it waited for `cpu`, `memory` or `io`.
    """

    cpu: float | None = None
    read: int | None = None
    written: int | None = None
    came: int | None = None
    went: int | None = None
    pressure: Mapping[str, float] = {}


class Usage(NamedTuple):
    """What a container uses now; absent means unknown.  `counters` by beancounter name (`numproc`,
    `physpages`).
    """

    counters: Mapping[str, Counter] = {}
    load: tuple[float, float, float] | None = None
    disk_kib: int | None = None
    disk_inodes: int | None = None
    done: Done = Done()
