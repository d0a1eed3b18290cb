"""Sockets at which a container's programs speak to PID 1; of datagrams, the kernel vouches for the sender's pid."""

import _socket
import posix
import sys

from vzinit import channel, fds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vzinit.loop import Loop

SPACE = _socket.CMSG_SPACE(3 * channel.INT_SIZE) + _socket.CMSG_SPACE(4 * channel.INT_SIZE)


def listen(loop: "Loop", path: str, on_datagram: "Callable[[int, bytes], None]", limit: int) -> None:
    """Call `on_datagram(pid, data)` for each one that arrives at *path*, cut off after *limit* bytes.  Raises OSError.

    Everybody may write there: daemons under User= do, and the pid decides what counts.
    """
    listener = bound(path, _socket.SOCK_DGRAM)

    def receive(_events: int) -> None:
        data, extra, _, _ = listener.recvmsg(limit, SPACE, _socket.MSG_CMSG_CLOEXEC)
        fds.close_all(channel.unpack_rights(extra))
        on_datagram(sender(extra), data)

    loop.watch(listener.fileno(), receive)


def bound(path: str, kind: int) -> _socket.socket:
    """A socket of that kind at *path*, for everybody.  Raises OSError."""
    fds.make_parents(path)
    if fds.exists(path):
        posix.unlink(path)
    made = _socket.socket(_socket.AF_UNIX, kind | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
    made.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)
    made.bind(path)
    posix.chmod(path, 0o666)
    return made


def sender(extra: "list[tuple[int, int, bytes]]") -> int:
    """The pid of SCM_CREDENTIALS; 0 without it."""
    for level, kind, credentials in extra:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_CREDENTIALS:
            return int.from_bytes(credentials[: channel.INT_SIZE], sys.byteorder)
    return 0
