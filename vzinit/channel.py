"""The line to hostd: frames and descriptors over SEQPACKET, kept over the loss of the other end.

Nothing here ever blocks.  Reports (`ended`, `running`...) that cannot be sent now are kept, up to a limit,
and sent when the host is back; an answer to a request dies with the line that brought the request.
"""

import _socket
import posix
import sys

from vzinit import fds, protocol
from vzinit.loop import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vzinit.loop import Loop

INT_SIZE = 4
MAX_DESCRIPTORS = 8
MAX_KEPT = 512  # frames; a host that does not read for longer than this is gone
RESCUE_ADDRESS = b"\0vzinit"


class Channel:
    """Calls `on_frame(verb, fields, descriptors)` for each frame and `on_lost()` when the host is gone."""

    def __init__(
        self,
        loop: "Loop",
        on_frame: "Callable[[str, protocol.Fields, list[int]], None]",
        on_bad_frame: "Callable[[str, str | None], None]",
        on_lost: "Callable[[], None]",
    ) -> None:
        self._loop = loop
        self._on_frame = on_frame
        self._on_bad_frame = on_bad_frame
        self._on_lost = on_lost
        self._socket: _socket.socket | None = None
        self._unsent: list[bytes] = []
        self.held = False

    def connect(self, sock: _socket.socket) -> None:
        """Use *sock* from now on; what was kept for the host is sent."""
        self.disconnect()
        sock.setblocking(False)
        self._socket = sock
        self._loop.watch(sock.fileno(), self._ready)
        self._flush()

    def disconnect(self) -> None:
        if self._socket:
            self._loop.unwatch(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def inode(self) -> int:
        """st_ino of our end: the name by which CRIU knows the socket."""
        return posix.fstat(self._socket.fileno()).st_ino if self._socket else 0

    def hold(self) -> None:
        """Send nothing until `release`: a message in flight would not survive a checkpoint."""
        self.held = True

    def release(self) -> None:
        self.held = False
        self._flush()

    def answer(self, verb: str, descriptor: int = -1, **fields: object) -> None:
        """Send now, even while held.  Lost when the host is not there."""
        self._send(protocol.encode(verb, **fields), descriptor)

    def report(self, verb: str, **fields: object) -> None:
        """Send, or keep for a later connection."""
        self._unsent.append(protocol.encode(verb, **fields))
        del self._unsent[:-MAX_KEPT]
        self._flush()

    def _flush(self) -> None:
        while self._unsent and self._socket and not self.held:
            if not self._send(self._unsent[0]):
                break
            del self._unsent[0]
        if self._socket:
            waiting = bool(self._unsent) and not self.held
            self._loop.change(self._socket.fileno(), READ | WRITE if waiting else READ)

    def _send(self, frame: bytes, descriptor: int = -1) -> bool:
        """False when the frame could not be sent (now)."""
        if not self._socket:
            return False
        rights = [] if descriptor < 0 else [pack_right(descriptor)]
        try:
            self._socket.sendmsg([frame], rights)
            return True
        except OSError:
            return False

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        if events & ~WRITE and self._socket:
            self._receive(self._socket)

    def _receive(self, sock: _socket.socket) -> None:
        space = _socket.CMSG_SPACE(MAX_DESCRIPTORS * INT_SIZE)
        try:
            frame, rights, flags, _ = sock.recvmsg(protocol.MAX_FRAME, space, _socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            frame, rights, flags = b"", [], 0
        if not frame:
            self.disconnect()
            self._on_lost()
            return
        descriptors = unpack_rights(rights)
        if flags & (_socket.MSG_TRUNC | _socket.MSG_CTRUNC):
            fds.close_all(descriptors)
            self._on_bad_frame("the frame is too long, or its descriptors do not fit", sequence_of(frame))
            return
        self._deliver(frame, descriptors)

    def _deliver(self, frame: bytes, descriptors: list[int]) -> None:
        try:
            verb, fields = protocol.decode(frame)
        except ValueError as error:
            fds.close_all(descriptors)
            self._on_bad_frame(str(error), None)
            return
        self._on_frame(verb, fields, descriptors)


def sequence_of(frame: bytes) -> str | None:
    """`seq` of a frame that is readable otherwise."""
    try:
        return protocol.one(protocol.decode(frame)[1], "seq") or None
    except ValueError:
        return None


def pack_right(descriptor: int) -> "tuple[int, int, bytes]":
    return _socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptor.to_bytes(INT_SIZE, sys.byteorder)


def unpack_rights(messages: "list[tuple[int, int, bytes]]") -> list[int]:
    """The descriptors of all SCM_RIGHTS messages, in order."""
    found = []
    for level, kind, data in messages:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            whole = len(data) - len(data) % INT_SIZE
            found += [int.from_bytes(data[at : at + INT_SIZE], sys.byteorder) for at in range(0, whole, INT_SIZE)]
    return found


def peer_of(sock: _socket.socket) -> tuple[int, int]:
    """pid and uid of who connected, as the kernel saw it; the pid is 0 outside of our pid namespace."""
    data = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 3 * INT_SIZE)  # struct ucred: pid, uid, gid
    return int.from_bytes(data[:INT_SIZE], sys.byteorder), int.from_bytes(data[INT_SIZE : 2 * INT_SIZE], sys.byteorder)


def pair() -> "tuple[_socket.socket, _socket.socket]":
    """A connected pair that belongs to our own network namespace, as CRIU demands."""
    return _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)


def greet(fd: int, clock: int) -> _socket.socket:
    """Tell the host, on the socket that it gave us as *fd*, that main was reached at *clock*, and hand it one end of
    the lasting pair; the other one is answered.  Raises OSError when the host is gone.
    """
    host = _socket.socket(fileno=fd)
    ours, theirs = pair()
    host.sendmsg([protocol.encode("hello", clock=clock)])
    host.sendmsg([protocol.encode("pair", ino=fds.inode(ours.fileno()))], [pack_right(theirs.fileno())])
    theirs.close()
    host.close()
    return ours


def listen_for_rescue(loop: "Loop", on_host: "Callable[[_socket.socket], None]") -> None:
    """Let a host that lost its end come back, by the abstract address of our network namespace.

    Whoever is outside of our pid namespace shows as pid 0; nobody inside can.
    """
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
    listener.bind(RESCUE_ADDRESS)
    listener.listen(4)

    def accept(_events: int) -> None:
        number, _ = listener._accept()  # type: ignore[attr-defined]
        peer = _socket.socket(fileno=number)
        pid, _uid = peer_of(peer)
        if pid:
            peer.close()
        else:
            on_host(peer)

    loop.watch(listener.fileno(), accept)
