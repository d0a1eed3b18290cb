"""The daemon as the keeper sees it: a child process at the other end of a SEQPACKET pair."""

import posix
import time
from _socket import AF_UNIX, SOCK_SEQPACKET, socket, socketpair

from hostd.cli import wire
from hostd.keeper.detach import read
from hostd.keeper.table import WALL
from vzinit.protocol import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from hostd.keeper.table import Child, Table
else:
    import _signal

LINK_FD = 3  # in the daemon

_YOUNG = 10.0  # seconds; dying younger than this delays the next start,
_YOUNG_SERVING = 1.0  # or younger than this after it had begun to serve
_FIRST_DELAY, _LONGEST_DELAY = 0.05, 2.0
_FDS_PER_FRAME = 200
RESET = (_signal.SIGPIPE, _signal.SIGXFSZ)  # ignored by Python, and ignoring is inherited


class Daemon:
    """One life of the daemon.  `outbox` is what its socket did not take yet, in order."""

    def __init__(self, pid: int, pidfd: int, link: socket) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.link = link
        self.outbox: list[tuple[bytes, list[int]]] = []
        self.serving = False
        self.outdated = False  # an upgrade ends it
        self.killed = False  # by us
        self.started = time.monotonic()
        link.setblocking(False)

    @classmethod
    def start(cls, argv: list[str], environment: dict[str, str]) -> "Daemon":
        """Raises OSError when *argv* cannot be executed."""
        ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
        pid = posix.posix_spawn(
            argv[0],
            argv,
            environment,
            file_actions=[(posix.POSIX_SPAWN_DUP2, theirs.fileno(), LINK_FD)],
            setsigmask=(),
            setsigdef=RESET,
        )
        theirs.close()
        return cls(pid, posix.pidfd_open(pid), ours)

    def say(self, frame: bytes, fds: list[int] | None = None) -> None:
        self.outbox.append((frame, fds or []))

    def flush(self) -> bool:
        """Send what the socket takes; True when nothing is left."""
        while self.outbox:
            try:
                wire.send(self.link, *self.outbox[0])
            except BlockingIOError:
                return False
            except OSError:  # it is dying: its pidfd says so
                self.outbox.clear()
            else:
                del self.outbox[0]
        return True

    def greet(self, listener: socket, table: "Table") -> None:
        """Everything that is kept: descriptors, children, and the statuses nobody has dealt with."""
        rows = [("name", name, fd) for name, fd in table.held.items()]
        rows += [("child", f"{child.name} {child.pid}", child.pidfd) for child in table.living()]
        self.say(encode("hello", socket=1, helpers=1), [listener.fileno()])
        for at in range(0, len(rows), _FDS_PER_FRAME):
            part = rows[at : at + _FDS_PER_FRAME]
            names = [text for key, text, _ in part if key == "name"]
            children = [text for key, text, _ in part if key == "child"]
            self.say(encode("held", name=names, child=children), [fd for _, _, fd in part])
        for child in table.ended():
            self.tell_exit(child)
        self.say(encode("complete"))

    def tell_exit(self, child: "Child") -> None:
        self.say(encode("exit", name=child.name, code=child.code, status=child.status))

    def signal(self, number: int) -> None:
        self.killed = self.killed or number == _signal.SIGKILL
        try:
            _signal.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError:
            pass

    def reap(self) -> str:
        """Why it ended, in words; "" while it lives."""
        result = posix.waitid(posix.P_PIDFD, self.pidfd, posix.WEXITED | posix.WNOHANG | WALL)
        if result is None:
            return ""
        if result.si_code == posix.CLD_EXITED:
            return f"exited with code {result.si_status}"
        return f"was killed by signal {result.si_status}"

    def is_undead(self) -> bool:
        """Killed, by us or by somebody, and not gone: a thread of it is in a call that no signal ends.  As long as that
        lasts, its pidfd and its link say nothing.
        """
        if not (self.killed or ") Z " in read(f"/proc/{self.pid}/stat")):
            return False
        return posix.waitid(posix.P_PIDFD, self.pidfd, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT | WALL) is None

    def close(self) -> None:
        posix.close(self.pidfd)
        self.link.close()

    @property
    def died_young(self) -> bool:
        age = time.monotonic() - self.started
        return not self.outdated and age < (_YOUNG_SERVING if self.serving else _YOUNG)


def restart_delay(failures: int) -> float:
    """Seconds until the start after the *failures*-th young death in a row: 0 for the first."""
    return 0.0 if failures < 2 else min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(failures - 2, 8))
