"""The server's end of a D-Bus connection without a bus: the socket, who is at the other end, and the greeting.

The greeting is the specification's "Authentication Protocol", of which EXTERNAL is offered.  What uid a client claims
in it says nothing that the kernel does not know better: whoever accepts the connection looks at
`channel.peer_of` instead.
"""

import _socket
import posix

from vzinit import dbus_message
from vzinit.dbus_message import Message
from vzinit.dbus_wire import BadMessage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 64 << 10
MAX_LINE = 4096  # bytes; the longest line of the greeting has about 40
MAX_LINES = 32  # a client that needs more will never begin
REJECTED = "REJECTED EXTERNAL"


class Greeting:
    """The lines before the first message.  `answer` until `done`."""

    def __init__(self, guid: str) -> None:
        self.done = False
        self._guid = guid
        self._lines = 0
        self._state: Callable[[str, str], str] = self._wait_for_auth

    def answer(self, line: bytes) -> bytes:
        """What to send back for *line* (without its end): one line, or nothing.

        Raises BadMessage when the connection is to be closed.
        """
        self._lines += 1
        if not line.isascii() or self._lines > MAX_LINES:
            raise BadMessage("no greeting")
        command, _, argument = line.decode().partition(" ")
        text = self._state(command, argument)
        return text.encode() + b"\r\n" if text else b""

    def _wait_for_auth(self, command: str, argument: str) -> str:
        mechanism, _, identity = argument.partition(" ")
        if command == "AUTH" and mechanism == "EXTERNAL":
            if identity:
                return self._identify(identity)
            self._state = self._wait_for_data
            return "DATA"
        return self._refuse(command, "AUTH")

    def _wait_for_data(self, command: str, argument: str) -> str:
        if command == "DATA":
            return self._identify(argument)
        return self._refuse(command, "CANCEL")

    def _wait_for_begin(self, command: str, _argument: str) -> str:
        if command == "BEGIN":
            self.done = True
            return ""
        if command == "NEGOTIATE_UNIX_FD":
            return "AGREE_UNIX_FD"
        return self._refuse(command, "CANCEL")

    def _identify(self, identity: str) -> str:
        """*identity* is the uid in decimal, as text, in hexadecimal; or nothing: whoever it is."""
        try:
            well_formed = not identity or bytes.fromhex(identity).isdigit()
        except ValueError:
            well_formed = False
        self._state = self._wait_for_begin if well_formed else self._wait_for_auth
        return f"OK {self._guid}" if well_formed else REJECTED

    def _refuse(self, command: str, rejected: str) -> str:
        """The answer to what has no place now; *rejected* is what ends an attempt, as ERROR does."""
        if command == "BEGIN":
            raise BadMessage("BEGIN without a greeting")
        if command not in (rejected, "ERROR"):
            return "ERROR"
        self._state = self._wait_for_auth
        return REJECTED


class Connection:
    """One client on a connected stream socket, which becomes ours.

    The socket may block or not: `receive` reads once.  Messages are kept whole; descriptors that come with them are
    not: without room for them (recv, not recvmsg) the kernel lets them go, and none is ever ours.
    """

    def __init__(self, sock: _socket.socket) -> None:
        self._socket = sock
        self._greeting = Greeting(posix.urandom(16).hex())
        self._nul_seen = False
        self._buffer = b""
        self._serial = 0

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def receive(self) -> list[Message]:
        """Read what is there, answer the greeting, and return the messages that are complete, maybe none.

        Raises EOFError when the client is gone and BadMessage when it does not speak D-Bus; both mean `close`.
        """
        try:
            data = self._socket.recv(CHUNK)
        except BlockingIOError:
            return []
        except OSError as error:
            raise EOFError(str(error)) from None
        if not data:
            raise EOFError("the client has closed")
        self._buffer += data
        if not self._greeting.done:
            self._greet()
        return self._messages() if self._greeting.done else []

    def send(self, message: Message) -> int:
        """Send *message* and return the serial that it got.

        Raises BadMessage when it cannot be sent, and EOFError when the client is gone.
        """
        message.serial = self._serial + 1
        data = dbus_message.encode(message)
        self._serial = message.serial
        self._write(data)
        return message.serial

    def _write(self, data: bytes) -> None:
        try:
            self._socket.sendall(data, _socket.MSG_NOSIGNAL)
        except OSError as error:
            raise EOFError(str(error)) from None

    def _greet(self) -> None:
        """Take lines off the buffer; what comes after BEGIN stays."""
        if not self._nul_seen:
            if self._buffer[0]:
                raise BadMessage("the first byte is not NUL")
            self._nul_seen = True
            self._buffer = self._buffer[1:]
        answers = b""
        while not self._greeting.done and b"\r\n" in self._buffer[:MAX_LINE]:
            line, _, self._buffer = self._buffer.partition(b"\r\n")
            answers += self._greeting.answer(line)
        if not self._greeting.done and len(self._buffer) >= MAX_LINE:
            raise BadMessage("a line without an end")
        if answers:
            self._write(answers)

    def _messages(self) -> list[Message]:
        """Take messages off the buffer; kinds that nobody knows are dropped."""
        found = []
        while size := dbus_message.size_of(self._buffer):
            if len(self._buffer) < size:
                break
            data, self._buffer = self._buffer[:size], self._buffer[size:]
            message = dbus_message.decode(data)
            if message.kind in dbus_message.REQUIRED:
                found.append(message)
        return found
