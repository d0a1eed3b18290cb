"""Lists of the processes of containers, kept between the parts in which a directory is read.

To make one takes long where a container has many processes or cgroups, and all the others wait meanwhile.
"""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PART = 1.0  # seconds that the parts of one listing may be apart
_LONG = 0.002  # seconds of a processor: where making took more, the list serves several listings,
_RESTS = 10  # for so many times as long as it took: no container takes more than a tenth of the server's time
_MOST = 256  # containers remembered


class Listings:
    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def pids(self, who: str, make: "Callable[[], Iterable[int]]", *, begins: bool) -> "list[int]":
        """Those that container *who* has, ascending.  *make* tells them.

        A listing that *begins* finds what was started a moment ago, unless it is too dear; its further parts need not.
        """
        kept = self._kept.pop(who, None)
        if kept is None or time.monotonic() >= kept.made + max(kept.rest, 0.0 if begins else _PART):
            kept = _Kept(make)
        self._kept[who] = kept
        if len(self._kept) > _MOST:
            del self._kept[next(iter(self._kept))]
        return kept.pids


class _Kept:
    __slots__ = ("made", "pids", "rest")

    def __init__(self, make: "Callable[[], Iterable[int]]") -> None:
        """Whether it is dear the processor says: on a busy machine everything takes long."""
        begun, worked = time.monotonic(), time.process_time()
        self.pids = sorted(make())
        self.made, worked = time.monotonic(), time.process_time() - worked
        self.rest = (self.made - begun) * _RESTS if worked > _LONG else 0.0
