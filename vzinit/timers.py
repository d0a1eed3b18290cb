"""Timer units: which are due, what they start, when the next one is.

A helper of PID 1 does it (`vzinit.orders`) and is gone again; PID 1 only knows when to ask the next time.  What has to
be remembered is when a timer last went off: the modification of a file, on the disk for Persistent= as systemd has it,
so that both agree when a container changes its init.
"""

import posix
import time

from vzinit import conditions, fds, on_off, unitfile
from vzinit.calendar import Calendar
from vzinit.service import OVER
from vzinit.unitfile import Unit, seconds
from vzinit.units import is_ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vzinit.pid_one import State

    Find = Callable[[str], State | None]

ON_DISK, IN_MEMORY = "/var/lib/systemd/timers/stamp-", "/run/vzinit/timers/"
BOOT = "/run/systemd/private"  # made at the boot, and never changed
FOREVER = float("inf")
# Time spans that count from the boot, and from when the timer became active: each goes off once.
FROM_BOOT, FROM_ACTIVE = ("OnBootSec", "OnStartupSec"), ("OnActiveSec",)
# From when the unit began and ended the last time, whoever started it; and again and again.
FROM_UNIT_UP, FROM_UNIT_DOWN = ("OnUnitActiveSec",), ("OnUnitInactiveSec",)


class Timer:
    """One timer unit of the image; *find* tells the state of the unit that it starts."""

    def __init__(self, unit: Unit, find: "Find" = lambda _name: None) -> None:
        self.name: str = unit.name
        self.starts: str = unit.last("Timer", "Unit", unit.name.removesuffix(".timer") + ".service")
        self._unit = unit
        self._find = find
        self._persistent = unitfile.is_true(unit.last("Timer", "Persistent"))

    @property
    def stamp(self) -> str:
        return f"{ON_DISK if self._persistent else IN_MEMORY}{self.name}"

    def last(self) -> float:
        """When it went off; 0 if it never did.  A stamp of the future (the clock was set) is none."""
        found = on_off.modified(self.stamp)
        return found if found <= time.time() else 0.0

    def active_since(self) -> float:
        """The boot, or when it was started by hand."""
        return max(on_off.modified(BOOT), on_off.since(self.name))

    def next(self) -> float:
        """When it is due, seconds since the epoch; in the past when that was missed."""
        return min((*self._calendars(), *self._spans()), default=FOREVER)

    def _calendars(self) -> list[float]:
        """What came before it was active is missed only by one that is persistent, and was there already."""
        since = self.last()
        if not self._persistent:
            since = max(since, self.active_since())
        elif not since:
            since = self._note(self.active_since())
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
        begin = self.active_since()
        last = self.last() if self.last() > begin else 0.0  # since it is active
        once = self._after(on_off.modified(BOOT), FROM_BOOT) + self._after(begin, FROM_ACTIVE)
        state = self._find(self.starts)
        up = max(state.main_since / 1e6 if state else 0.0, last)
        down = max(state.down_since / 1e6 if state else 0.0, last)
        if state and state.main_since and state.state not in OVER:
            down = time.time()  # or later: to be looked at again
        return [
            *(moment for moment in once if moment > last),
            *(self._after(up, FROM_UNIT_UP) if up else ()),
            *(self._after(down, FROM_UNIT_DOWN) if down else ()),
        ]

    def _after(self, since: float, keys: tuple[str, ...]) -> list[float]:
        """What cannot be read is not there; nothing goes off more than once a second."""
        values = [seconds(value, FOREVER) for key in keys for value in self._unit.all("Timer", key)]
        return [since + max(value, 1.0) + self._delay() for value in values]

    def _delay(self) -> float:
        """RandomizedDelaySec=: always the same in this container, another one in the next."""
        most = seconds(self._unit.last("Timer", "RandomizedDelaySec"), 0.0)
        value = 5381
        for byte in (self.name + fds.read_text("/etc/machine-id")).encode():
            value = (value * 33 + byte) & 0xFFFFFFFF
        return most * value / 0xFFFFFFFF

    def go_off(self) -> None:
        """It goes off now: the stamp says so."""
        self._note(time.time())

    def _note(self, moment: float) -> float:
        fds.make_parents(self.stamp)
        fd = posix.open(self.stamp, posix.O_WRONLY | posix.O_CREAT | posix.O_CLOEXEC, 0o644)
        posix.utime(fd, (moment, moment))
        posix.close(fd)
        return moment


def active(find: "Find" = lambda _name: None) -> list[Timer]:
    """Those that timers.target wants, and those that were started; without those that were stopped."""
    wanted = unitfile.wanted_by_links("timers.target")
    names = {name for name in (*wanted, *on_off.names()) if name.endswith(".timer")}
    found = (unitfile.load(name) for name in sorted(names) if on_off.is_on(name, name in wanted))
    return [Timer(unit, find) for unit in found if unit and is_ours(unit.name) and not conditions.unmet(unit)]


def due(find: "Find") -> tuple[list[str], float]:
    """The units whose time has come, which is noted, and seconds until the next (FOREVER: there is none)."""
    now = time.time()
    units = []
    timers = active(find)
    for timer in timers:
        if timer.next() <= now:
            units.append(timer.starts)
            timer.go_off()
    return units, min((timer.next() for timer in timers), default=FOREVER) - now
