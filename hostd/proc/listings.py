"""Lists of the processes of containers, kept between the parts in which a directory is read.

To make one takes long where a container has many processes or cgroups, and all the others wait meanwhile.
"""

import time

from hostd.proc.effort import Effort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PART = 1.0  # seconds that the parts of one listing may be apart
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
        effort = Effort()
        self.pids = sorted(make())
        self.made, self.rest = time.monotonic(), effort.rest()
