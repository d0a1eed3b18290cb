"""Programs that outlive the daemon and are started again whenever they end.

A helper gets descriptors that are held under names, so a program that dies leaves nothing that the next one misses.
"""

import errno
import fcntl
import posix
import time

from hostd.keeper import log
from hostd.keeper.daemon import RESET, restart_delay
from hostd.keeper.table import Helper, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from vzinit.protocol import Fields
else:
    import _signal

FIRST_FD = 3  # in the helper: its first descriptor, the others follow
_YOUNG = 1.0  # seconds; dying younger than this delays the next start
_NEVER = float("inf")


class Helpers:
    def __init__(self, table: Table, environment: dict[str, str]) -> None:
        self.table = table
        self.environment = environment

    def set(self, name: str, fields: "Fields") -> None:
        """Run *name* as *fields* say; what runs under that name is ended, and the new one starts when it is gone."""
        old = self.table.helpers.get(name)
        helper = self.table.helpers[name] = Helper(fields.get("arg", []), fields.get("fd", []), old.pid if old else 0)
        if helper.pid:
            posix.kill(helper.pid, _signal.SIGKILL)  # our child, and not waited for: the number is its own
        else:
            self.start(name, helper)

    def forget(self, name: str) -> None:
        """End *name*; what is left of it is reaped as a stray."""
        helper = self.table.helpers.pop(name, None)
        if helper and helper.pid:
            posix.kill(helper.pid, _signal.SIGKILL)

    def start(self, name: str, helper: Helper) -> None:
        helper.started = time.monotonic()
        helper.start_at = _NEVER
        places = [self.table.held.get(held, -1) for held in helper.held]
        try:
            helper.pid = spawn(helper.argv, places, self.environment)
        except OSError as error:
            log.line(f"cannot start {name}: {error.strerror}")
            self.start_later(helper)

    def start_later(self, helper: Helper) -> None:
        """At once the first time, later when it keeps dying young."""
        now = time.monotonic()
        helper.failures = helper.failures + 1 if now - helper.started < _YOUNG else 0
        helper.start_at = now + restart_delay(helper.failures)

    def start_due(self, now: float) -> None:
        for name, helper in list(self.table.helpers.items()):
            if now >= helper.start_at:
                self.start(name, helper)

    def due(self) -> float:
        return min((helper.start_at for helper in self.table.helpers.values()), default=_NEVER)

    def reap(self, pid: int) -> bool:
        """Take the end of *pid* if it is a helper's."""
        for name, helper in self.table.helpers.items():
            if helper.pid == pid:
                status = posix.waitstatus_to_exitcode(posix.waitpid(pid, 0)[1])
                log.line(f"{name} {pid} has ended ({status})")
                helper.pid = 0
                self.start_later(helper)
                return True
        return False


def spawn(argv: list[str], fds: list[int], environment: dict[str, str]) -> int:
    """Start *argv* with *fds* from FIRST_FD on.  Raises OSError, also for a descriptor that is not there."""
    if -1 in fds:
        raise OSError(errno.EBADF, "a descriptor of its is not held")
    above = [dup_above(fd, FIRST_FD + len(fds)) for fd in fds]
    try:
        actions = [(posix.POSIX_SPAWN_DUP2, fd, FIRST_FD + at) for at, fd in enumerate(above)]
        return posix.posix_spawn(
            argv[0], argv, environment, file_actions=actions, setsigmask=(), setsigdef=RESET
        )
    finally:
        for fd in above:
            posix.close(fd)


def dup_above(fd: int, least: int) -> int:
    """Where no place of the helper's is: one DUP2 must not close the source of the next."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, least)
