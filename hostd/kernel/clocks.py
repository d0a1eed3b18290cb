"""The clocks of a container: a time namespace in which the time since the boot is that since its start."""

import os
import time
from typing import NamedTuple, Self

_SECOND = 10**9


class Clocks(NamedTuple):
    """When a container's CLOCK_MONOTONIC and CLOCK_BOOTTIME were 0, by those of the host; nanoseconds.

    Before the host's own boot, and so negative, for one that was restored here.
    """

    monotonic: int
    boottime: int

    @classmethod
    def now(cls) -> Self:
        return cls(time.clock_gettime_ns(time.CLOCK_MONOTONIC), time.clock_gettime_ns(time.CLOCK_BOOTTIME))

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """Of a running process; None for one that goes by the host's.  FileNotFoundError when it is gone."""
        if os.readlink(f"/proc/{pid}/ns/time") == os.readlink("/proc/self/ns/time"):
            return None
        with open(f"/proc/{pid}/timens_offsets", encoding="ascii") as file:
            rows = [line.split() for line in file]
        return cls(**{name: -int(seconds) * _SECOND - int(rest) for name, seconds, rest in rows})

    def offsets(self) -> str:
        """For /proc/self/timens_offsets, before anybody is in the namespace: time_namespaces(7)."""
        rows = (("monotonic", self.monotonic), ("boottime", self.boottime))
        return "".join(f"{name} {-zero // _SECOND} {-zero % _SECOND}\n" for name, zero in rows)
