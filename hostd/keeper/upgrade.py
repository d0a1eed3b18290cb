"""Exec the next version of the keeper in place: it stays the parent, and every descriptor stays open.

The table goes over as marshal data in a memfd.  The next version proves that it starts and reads the table
(`--check`) before this one gives itself up.
"""

import marshal
import posix
import select
from _socket import socket

from hostd.keeper import log
from hostd.keeper.daemon import Daemon
from hostd.keeper.table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from hostd.keeper.keeper import Keeper
else:
    import _signal

_MARSHAL_VERSION = 4  # fixed: another Python may read it
_PATIENCE = 10_000  # milliseconds for the next version to prove that it works
_ALL_SIGNALS = (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP, _signal.SIGCHLD)


class Handover:
    """What the next version gets: numbers of open descriptors, and the table."""

    def __init__(self, lock: int, listener: int, table: Table, daemon: tuple[int, int, int] | None) -> None:
        self.lock = lock
        self.listener = listener
        self.table = table
        self.daemon = daemon  # pid, pidfd, link

    def save(self) -> int:
        """A memfd that holds it, at its start."""
        fd = posix.memfd_create("keeper")
        data = {"lock": self.lock, "listener": self.listener, "daemon": self.daemon, **self.table.plain()}
        posix.write(fd, marshal.dumps(data, _MARSHAL_VERSION))
        posix.lseek(fd, 0, 0)
        return fd

    @classmethod
    def load(cls, fd: int) -> "Handover":
        """Read *fd* from its start, without moving it.  Raises ValueError, KeyError or TypeError."""
        data = marshal.loads(posix.pread(fd, posix.fstat(fd).st_size, 0))
        return cls(data["lock"], data["listener"], Table.from_plain(data), data["daemon"])

    def descriptors(self) -> list[int]:
        daemon = self.daemon[1:] if self.daemon else ()
        return [self.lock, self.listener, *self.table.descriptors(), *daemon]


def exec_next(keeper: "Keeper", lock: int, argv: list[str]) -> None:
    """Become *argv* `--adopt FD`.  Returns, with a line in the log, when that cannot be done."""
    daemon = keeper.daemon
    numbers = (daemon.pid, daemon.pidfd, daemon.link.fileno()) if daemon else None
    handover = Handover(lock, keeper.listener.fileno(), keeper.table, numbers)
    try:
        fd = handover.save()
    except OSError as error:
        log.line(f"upgrade failed: {error.strerror}")
        return
    fds = [fd, *handover.descriptors()]
    _signal.pthread_sigmask(_signal.SIG_BLOCK, _ALL_SIGNALS)  # until the next version has its handlers
    try:
        if not next_version_works(argv, fd):
            return
        for each in fds:
            posix.set_inheritable(each, True)
        log.line("upgrade: executing the next version")
        posix.execve(argv[0], adopting(argv, "--adopt", str(fd)), posix.environ)
    except OSError as error:
        log.line(f"upgrade failed: {argv[0]}: {error.strerror}")
    finally:
        for each in fds:
            posix.set_inheritable(each, False)
        posix.close(fd)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, _ALL_SIGNALS)


def next_version_works(argv: list[str], fd: int) -> bool:
    pid = posix.posix_spawn(
        argv[0],
        adopting(argv, "--check", str(fd)),
        posix.environ,
        file_actions=[(posix.POSIX_SPAWN_DUP2, fd, fd)],
        setsigmask=(),
    )
    pidfd = posix.pidfd_open(pid)
    ended = select.poll()
    ended.register(pidfd, select.POLLIN)
    if not ended.poll(_PATIENCE):
        _signal.pidfd_send_signal(pidfd, _signal.SIGKILL)
    posix.close(pidfd)
    code = posix.waitstatus_to_exitcode(posix.waitpid(pid, 0)[1])
    if code:
        log.line(f"upgrade refused: the next version ends with {code}; this one stays")
    return code == 0


def adopting(argv: list[str], *option: str) -> list[str]:
    """*argv* with *option* (and no earlier one of the kind) before the daemon's command line."""
    at = argv.index("--")
    own, daemon = argv[:at], argv[at:]
    for stale in ("--adopt", "--check"):
        if stale in own:
            del own[own.index(stale) : own.index(stale) + 2]
    return [*own, *option, *daemon]


def adopt(fd: int) -> tuple[Handover, socket, Daemon | None]:
    """Take over what the version before left in *fd*."""
    handover = Handover.load(fd)
    posix.close(fd)
    for each in handover.descriptors():
        posix.set_inheritable(each, False)
    daemon = None
    if handover.daemon:
        pid, pidfd, link = handover.daemon
        daemon = Daemon(pid, pidfd, socket(fileno=link))
        daemon.outdated = daemon.serving = True
    return handover, socket(fileno=handover.listener), daemon
