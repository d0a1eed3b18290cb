"""sd_notify: the datagram socket on which services of Type=notify say that they are ready."""

import _socket
import posix
import sys

from vzinit import channel, fds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vzinit.loop import Loop

PATH = "/run/vzinit/notify"
LIMIT = 4096


class NotifySocket:
    """Opened by the first service that needs it.

    `on_message(pid, values)`: the kernel vouches for the pid.
    """

    def __init__(self, loop: "Loop", on_message: "Callable[[int, dict[str, str]], None]") -> None:
        self._loop = loop
        self._on_message = on_message
        self._socket: _socket.socket | None = None

    def open(self) -> str:
        """The path for NOTIFY_SOCKET."""
        if not self._socket:
            fds.make_parents(PATH)
            if fds.exists(PATH):
                posix.unlink(PATH)
            kind = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
            self._socket = _socket.socket(_socket.AF_UNIX, kind)
            self._socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)
            self._socket.bind(PATH)
            posix.chmod(PATH, 0o666)  # daemons under User= write here; the sender's pid decides what counts
            self._loop.watch(self._socket.fileno(), lambda _events: self._receive())
        return PATH

    def _receive(self) -> None:
        assert self._socket
        space = _socket.CMSG_SPACE(3 * channel.INT_SIZE) + _socket.CMSG_SPACE(4 * channel.INT_SIZE)
        data, extra, _, _ = self._socket.recvmsg(LIMIT, space, _socket.MSG_CMSG_CLOEXEC | _socket.MSG_DONTWAIT)
        fds.close_all(channel.unpack_rights(extra))
        for level, kind, credentials in extra:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_CREDENTIALS:
                pid = int.from_bytes(credentials[: channel.INT_SIZE], sys.byteorder)
                self._on_message(pid, parse(data.decode("utf-8", "replace")))


def parse(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
