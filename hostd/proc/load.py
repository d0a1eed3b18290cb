"""Load averages of containers, which no kernel keeps: from the processor time they have used, between two looks.

The load of an interval is how many processors were kept busy, plus the part of the time in which something waited
for one.  It is less than the kernel's figure when many wait at once.
"""

from math import exp

_PERIODS = (60.0, 300.0, 900.0)  # seconds
_MOST = 1024  # containers remembered
_SECOND = 1e9


class Loads:
    def __init__(self) -> None:
        self._last: dict[str, tuple[int, int, tuple[float, float, float]]] = {}

    def averages(self, who: str, uptime: int, work: int) -> "tuple[float, float, float]":
        """Of container *who*, *uptime* nanoseconds after its start, of which *work* was busy or waiting."""
        before, done, averages = self._last.pop(who, (0, 0, (0.0, 0.0, 0.0)))
        if uptime < before or work < done:  # another one of that number
            before, done, averages = 0, 0, (0.0, 0.0, 0.0)
        passed = (uptime - before) / _SECOND
        load = (work - done) / _SECOND / passed if passed > 0 else 0.0
        first, second, third = (
            old * exp(-passed / period) + load * (1 - exp(-passed / period))
            for old, period in zip(averages, _PERIODS, strict=True)
        )
        self._last[who] = uptime, work, (first, second, third)
        if len(self._last) > _MOST:
            del self._last[next(iter(self._last))]
        return first, second, third
