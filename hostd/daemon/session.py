"""One connected command: terminal, output, cancellation.  Implements `hostd.command.host.Session`."""

import asyncio
import signal
import socket

from hostd.cli import wire
from hostd.daemon.outbox import Outbox
from hostd.errors import VzError
from hostd.kernel.fd import Fd
from vzinit.protocol import Fields, decode, encode, one

_CHUNK = 32000  # characters in one frame: at most four bytes each
_HANGUP_PATIENCE = 2.0  # seconds


class CommandGone(VzError):
    """The command was killed or lost its connection."""


class CommandSession:
    """Printing never blocks and never fails: it is queued, and dropped once the command is gone.

    `cancelled` is set by SIGINT or SIGTERM at the command, and by its disappearance while it relays (a
    session without a terminal is over).  `gone` is set when the connection ends; an operation goes on all
    the same.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(sock, lambda _: self._leave())
        self._request = self._loop.create_future()
        self._given: asyncio.Future[list[Fd]] | None = None
        self._relaying = False
        self._relay_over = asyncio.Event()
        self._hung_up = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.signal = signal.SIGINT  # which cancelled it
        self.detached = asyncio.Event()  # the user typed ESC . at a console
        self.attention = asyncio.Event()  # ESC ! was typed; whoever acts on it clears it
        self.gone = asyncio.Event()
        self.uid = -1
        self.tty = False
        self.rows, self.cols = 24, 80
        self.term = "linux"
        self.cwd = "/"
        self._loop.add_reader(sock, self._readable)

    async def request(self) -> tuple[str, list[str]]:
        """The program and its arguments, and with them the terminal's properties.  Raises CommandGone.

        From here on the command knows that it was begun: one that was not may be given to the next daemon.
        """
        fields: Fields = await self._request
        self._send(encode("begun"))
        self.tty = one(fields, "tty") == "1"
        self.rows, self.cols = _number(fields, "rows", 24), _number(fields, "cols", 80)
        self.term = one(fields, "term", "linux")
        self.cwd = one(fields, "cwd", "/")
        return one(fields, "prog"), fields.get("arg", [])

    def out(self, text: str) -> None:
        """Print *text* as is, at once."""
        self._print("out", text)

    def err(self, text: str) -> None:
        """The same on stderr."""
        self._print("err", text)

    async def pipes(self) -> tuple[Fd, Fd, Fd]:
        """Three new pipes to the command's stdio; the container's stdin, stdout, stderr.  Or CommandGone."""
        self._given = self._loop.create_future()
        self._send(encode("ask", kind="pipes"))
        if self.gone.is_set():
            raise CommandGone("the command went away")
        stdin, stdout, stderr = await self._given
        return stdin, stdout, stderr

    async def relay_pipes(self) -> None:
        """Start copying between the pipes and the command's stdio; does not wait."""
        self._relay("pipes")

    async def relay_pty(self, master: Fd, typed: str = "") -> None:
        """Hand *master* over (it is closed here); *typed* goes in before anything that the user types.

        Returns when no program has the terminal open any more, also when the command is gone.
        Cancelling the wait leaves the relay as it is: `finish` flushes it.
        """
        self._relay("pty", master, typed=typed or None)
        await self._relay_over.wait()

    async def relay_console(self, stream: Fd) -> None:
        """Hand *stream* over (it is closed here); returns when it ended or the user left (`detached`,
        `gone`).

        After its end another stream may be given; the user's terminal stays raw meanwhile.
        """
        self._relay("console", stream)
        await self._relay_over.wait()

    async def hangup(self) -> None:
        """End the relay now; returns when the command has closed its ends, or after two seconds."""
        if not self._relaying or self.gone.is_set():
            return
        self._hung_up.clear()
        self._send(encode("hangup"))
        try:
            async with asyncio.timeout(_HANGUP_PATIENCE):
                await self._hung_up.wait()
        except TimeoutError:
            pass

    async def finish(self, code: int) -> None:
        """Tell the exit code and wait until the command has taken everything and left."""
        self._send(encode("exit", code=code))
        await self.gone.wait()
        self.close()

    def close(self) -> None:
        if self._sock.fileno() < 0:
            return
        self._leave()
        self._sock.close()

    def _print(self, verb: str, text: str) -> None:
        text = text.replace("\0", "\ufffd")  # frames cannot carry it
        for at in range(0, len(text), _CHUNK):
            self._send(encode(verb, text=text[at : at + _CHUNK]))

    def _relay(self, kind: str, fd: Fd | None = None, **fields: object) -> None:
        self._relaying = True
        self._relay_over.clear()
        self._send(encode("relay", kind=kind, **fields), fd)
        if self.gone.is_set():
            self._relay_over.set()
            self.cancelled.set()

    def _send(self, frame: bytes, fd: Fd | None = None) -> None:
        if not self.gone.is_set():
            self._outbox.put(frame, fd)
        elif fd:
            fd.close()

    def _readable(self) -> None:
        try:
            frame, numbers = wire.receive(self._sock)
        except BlockingIOError:
            return
        except OSError:
            frame, numbers = b"", []
        fds = [Fd(number, "given by the command") for number in numbers]
        if not frame:
            self._leave()
            return
        try:
            verb, fields = decode(frame)
        except ValueError:
            self._leave()
            return
        self._obey(verb, fields, fds)

    def _obey(self, verb: str, fields: Fields, fds: list[Fd]) -> None:
        if verb == "run" and not self._request.done():
            self._request.set_result(fields)
        elif verb == "give" and len(fds) == 3 and self._given and not self._given.done():
            self._given.set_result(fds)
            return
        elif verb == "cancel":
            self.signal = signal.SIGTERM if one(fields, "signal") == f"{signal.SIGTERM:d}" else signal.SIGINT
            self.cancelled.set()
        elif verb == "sak":
            self.attention.set()
        elif verb in ("detached", "lost", "hungup"):
            if verb == "detached":
                self.detached.set()
            self._hung_up.set()
            self._relay_over.set()
        for fd in fds:
            fd.close()

    def _leave(self) -> None:
        """The connection is over: wake everybody who waits for the command."""
        if self.gone.is_set():
            return
        self.gone.set()
        self._loop.remove_reader(self._sock)
        self._outbox.clear()
        if self._relaying:
            self.cancelled.set()
        self._relay_over.set()
        self._hung_up.set()
        for future in (self._request, self._given):
            if future and not future.done():
                future.set_exception(CommandGone("the command went away"))
                future.exception()  # not an unhandled one if nobody waits


def _number(fields: Fields, key: str, default: int) -> int:
    text = one(fields, key)
    return int(text) if text.isdecimal() and len(text) < 6 else default
