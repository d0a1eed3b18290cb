"""Timer units: which are due, what they start, when the next one is.

A helper of PID 1 does it (`vzinit.orders`) and is gone again; PID 1 only knows when to ask the next time.  What has to
be remembered is when a timer last went off: the modification of a file, on the disk for Persistent= as systemd has it,
so that both agree when a container changes its init.
"""

import posix
import time

from vzinit import conditions, fds, on_off, unitfile
from vzinit.calendar import Calendar
from vzinit.unitfile import Unit, seconds
from vzinit.units import is_ours

ON_DISK, IN_MEMORY = "/var/lib/systemd/timers/stamp-", "/run/vzinit/timers/"
BOOT = "/run/systemd/private"  # made at the boot, and never changed
FOREVER = float("inf")
# What a time span counts from: the boot, the last time that the timer went off.
FROM_BOOT = ("OnBootSec", "OnStartupSec", "OnActiveSec")
FROM_LAST = ("OnUnitActiveSec", "OnUnitInactiveSec")


class Timer:
    """One timer unit of the image."""

    def __init__(self, unit: Unit) -> None:
        self.name: str = unit.name
        self.starts: str = unit.last("Timer", "Unit", unit.name.removesuffix(".timer") + ".service")
        self._unit = unit
        self._persistent = unit.last("Timer", "Persistent") in conditions.YES

    @property
    def stamp(self) -> str:
        return f"{ON_DISK if self._persistent else IN_MEMORY}{self.name}"

    def last(self) -> float:
        """When it went off; 0 if it never did."""
        return modified(self.stamp)

    def next(self) -> float:
        """When it is due, seconds since the epoch; in the past when that was missed."""
        return min((*self._calendars(), *self._spans()), default=FOREVER)

    def _calendars(self) -> list[float]:
        """A timer without a stamp was never there: what came before is not missed."""
        since = max(self.last(), modified(BOOT) if not self._persistent else 0.0) or self.begin()
        found = []
        for text in self._unit.all("Timer", "OnCalendar"):
            try:
                moment = Calendar(text).after(since)
            except ValueError:
                continue
            if moment is not None:
                found.append(moment + self._delay())
        return found

    def _spans(self) -> list[float]:
        found = []
        last = self.last()
        if last < modified(BOOT):
            found += [modified(BOOT) + span for span in self._seconds(FROM_BOOT)]
        if last:
            found += [last + span for span in self._seconds(FROM_LAST)]
        return found

    def _seconds(self, keys: tuple[str, ...]) -> list[float]:
        """What cannot be read is not there; nothing goes off more than once a second."""
        values = [seconds(value, FOREVER) for key in keys for value in self._unit.all("Timer", key)]
        return [max(value, 1.0) for value in values]

    def _delay(self) -> float:
        """RandomizedDelaySec=: always the same in this container, another one in the next."""
        most = seconds(self._unit.last("Timer", "RandomizedDelaySec"), 0.0)
        value = 5381
        for byte in (self.name + fds.read_text("/etc/machine-id")).encode():
            value = (value * 33 + byte) & 0xFFFFFFFF
        return most * value / 0xFFFFFFFF

    def begin(self) -> float:
        """It is there from now on, or goes off now: the stamp says so."""
        fds.make_parents(self.stamp)
        fd = posix.open(self.stamp, posix.O_WRONLY | posix.O_CREAT | posix.O_CLOEXEC, 0o644)
        posix.utime(fd)
        posix.close(fd)
        return self.last()


def modified(path: str) -> float:
    try:
        return posix.stat(path).st_mtime
    except OSError:
        return 0.0


def active() -> list[Timer]:
    """Those that timers.target wants, and those that were started; without those that were stopped."""
    wanted = unitfile.wanted_by_links("timers.target")
    names = {name for name in (*wanted, *on_off.names()) if name.endswith(".timer")}
    found = (unitfile.load(name) for name in sorted(names) if on_off.is_on(name, name in wanted))
    return [Timer(unit) for unit in found if unit and is_ours(unit.name) and not conditions.unmet(unit)]


def due() -> tuple[list[str], float]:
    """The units whose time has come, which is noted, and seconds until the next (FOREVER: there is none)."""
    now = time.time()
    units = []
    timers = active()
    for timer in timers:
        if timer.next() <= now:
            units.append(timer.starts)
            timer.begin()
    return units, min((timer.next() for timer in timers), default=FOREVER) - now
