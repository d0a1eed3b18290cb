"""The way down: services in reverse order, then everything, then reboot(2).

No sync: the file systems belong to hostd, whose unmount writes them back; a sync(2) here would flush the
whole host.
"""

import errno
import posix
import time

from vzinit import _sys, child, fds, reaper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vzinit.loop import Loop, Timer

# linux/reboot.h: RESTART, HALT, POWER_OFF.  In a pid namespace the parent sees SIGHUP for the first, SIGINT
# for the others.
COMMANDS = {"reboot": 0x01234567, "halt": 0xCDEF0123, "poweroff": 0x4321FEDC}
DEFAULT_TIMEOUT = 90.0  # seconds, when the container itself asks for the stop
KILL_RESERVE = 3.0  # seconds kept for SIGTERM and SIGKILL to everybody
GRACE = 5.0  # seconds at most between SIGTERM to everybody and SIGKILL
LAST_WORDS = 2.0  # seconds that killed processes get to vanish
POLL = 0.02
EVERYBODY = -1
WTMP = "/var/log/wtmp"
SIGHUP, SIGKILL, SIGTERM, SIGCONT = 1, 9, 15, 18


class Shutdown:
    """One way down.  `begin` starts it; nothing stops it."""

    def __init__(
        self,
        loop: "Loop",
        stop_services: "Callable[[Callable[[], None]], None]",
        say_bye: "Callable[[str], None]",
    ) -> None:
        self._loop = loop
        self._stop_services = stop_services
        self._say_bye = say_bye
        self._terminating = False
        self.how = ""

    def begin(self, how: str, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Stop services, then all processes, then *how*, after *timeout* seconds at the latest.

        Raises ValueError for an unknown *how* and when a stop is under way already.
        """
        self.how = checked(how, self.how)
        self._deadline = time.monotonic() + timeout
        self._loop.after(0, self._services)  # later: whoever asked is answered first

    def asked(self, how: str) -> None:
        """From inside, by a signal or a command: who asks again is late."""
        if not self.how:
            self.begin(how)

    def _services(self) -> None:
        if fds.exists(WTMP):
            record_the_end()
        patience = max(0.0, self._deadline - time.monotonic() - KILL_RESERVE)
        self._guard: Timer = self._loop.after(patience, self._terminate)
        self._stop_services(self._terminate)

    def _terminate(self) -> None:
        """Services are down, or out of time: ask everybody to go.  Shells heed SIGHUP only."""
        if self._terminating:
            return
        self._terminating = True
        self._guard.cancel()
        for number in (SIGTERM, SIGHUP, SIGCONT):
            kill_everybody(number)
        left = max(0.0, self._deadline - time.monotonic() - LAST_WORDS)
        self._wait(time.monotonic() + min(GRACE, left), self._kill)

    def _kill(self) -> None:
        kill_everybody(SIGKILL)
        self._wait(time.monotonic() + LAST_WORDS, self._finish)

    def _wait(self, until: float, then: "Callable[[], None]") -> None:
        """Call *then* at *until*; `_finish` as soon as no process is left."""
        if not reaper.reap():
            self._finish()
        elif time.monotonic() >= until:
            then()
        else:
            self._loop.after(POLL, lambda: self._wait(until, then))

    def _finish(self) -> None:
        self._say_bye(self.how)
        reboot(COMMANDS[self.how])


def record_the_end() -> None:
    """So that `last` knows when the system went down."""

    def work() -> None:
        from vzinit import utmp

        utmp.down()

    try:
        child.aside(work)
    except OSError:
        pass  # NUMPROC is reached


def checked(how: str, before: str) -> str:
    """*how*; ValueError for an unknown one, and when there was one *before*."""
    if before:
        raise ValueError(f"already stopping ({before})")
    if how not in COMMANDS:
        raise ValueError(f"stop how={how!r} is not one of {', '.join(COMMANDS)}")
    return how


def kill_everybody(number: int) -> None:
    """Signal every process of the pid namespace but ourselves."""
    try:
        posix.kill(EVERYBODY, number)
    except OSError:
        pass  # ESRCH: nobody is left


def reboot(command: int) -> None:
    """reboot(2); does not return unless it failed (no CAP_SYS_BOOT), then PID 1 exits with the errno."""
    try:
        _sys.reboot(command)
    except OSError as error:
        posix._exit(error.errno or errno.EIO)
    posix._exit(errno.EIO)
