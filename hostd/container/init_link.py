"""hostd's end of the channel to a container's PID 1: typed calls, events, and what a lost channel means.

Requests carry a number and wait for the answer with the same number; everything else that vzinit says is an event.
The socket never blocks the daemon: a container that does not read its channel gets an error, not our time.
"""

import array
import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hostd.errors import Exit, Failure
from hostd.kernel.fd import Fd
from hostd.log import log
from vzinit import protocol

ANSWER_TIMEOUT = 30.0  # seconds: a busy container on a busy host; a dead one is noticed by its pidfd
MAX_FDS = 8


@dataclass
class Message:
    """One frame from vzinit with the descriptors that came along."""

    verb: str
    fields: protocol.Fields
    fds: list[Fd] = field(default_factory=list)

    def text(self, key: str, default: str = "") -> str:
        return protocol.one(self.fields, key, default)

    def number(self, key: str, default: int = 0) -> int:
        return int(protocol.one(self.fields, key, str(default)))


class ChannelLost(Failure):
    """PID 1 does not answer: the channel is closed, or the answer did not come in time."""

    def __init__(self, what: str) -> None:
        super().__init__(Exit.SYSTEM, f"no answer from the container's init: {what}")


class InitLink:
    """A channel to one vzinit.  `on_event` gets every message that is not an answer; `on_lost` is called once."""

    def __init__(
        self, end: socket.socket, on_event: Callable[[Message], None], on_lost: Callable[[], None]
    ) -> None:
        self._on_event = on_event
        self._on_lost = on_lost
        self._waiting: dict[str, asyncio.Future[Message]] = {}
        self._seq = 0
        self._socket = end
        self._adopt(end)

    def _adopt(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end
        asyncio.get_running_loop().add_reader(end.fileno(), self._readable)

    @property
    def fd(self) -> Fd:
        """A duplicate of our end, for the keeper to hold."""
        return Fd(os.dup(self._socket.fileno()), "channel")

    def close(self) -> None:
        """Leave the channel; PID 1 goes on."""
        if self._socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ChannelLost("channel closed"))
        self._waiting.clear()

    def _readable(self) -> None:
        for _ in range(64):  # bounded: one container must not starve the others
            try:
                message = receive(self._socket)
            except BlockingIOError:
                return
            except (OSError, EOFError):
                self.close()
                self._on_lost()
                return
            except protocol.BadFrame as error:
                log.warning("bad frame from init: %s", error)
                continue
            self._dispatch(message)
            if self._socket.fileno() < 0:
                return

    def _dispatch(self, message: Message) -> None:
        if message.verb == "pair" and message.fds:
            self._switch(message.fds[0])
        waiting = self._waiting.pop(message.text("seq"), None)
        if waiting is not None and not waiting.done():
            waiting.set_result(message)
        else:
            self._on_event(message)

    def _switch(self, end: Fd) -> None:
        """Go over to the lasting pair, which vzinit made in its own network namespace."""
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        self._adopt(socket.socket(fileno=end.steal()))

    def tell(self, verb: str, fds: Sequence[int] = (), **fields: object) -> None:
        """Send one frame; nothing is answered."""
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self._socket.sendmsg([protocol.encode(verb, **fields)], ancillary)
        except OSError as error:
            raise ChannelLost(f"{verb}: {error.strerror}") from error

    async def ask(
        self, verb: str, fds: Sequence[int] = (), *, timeout: float = ANSWER_TIMEOUT, **fields: object
    ) -> Message:
        """Send a request and wait for its answer.

        An `error` answer is raised: as OSError when it has an errno, else as Failure.
        """
        self._seq += 1
        seq = str(self._seq)
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[seq] = future
        try:
            self.tell(verb, fds, seq=seq, **fields)
            async with asyncio.timeout(timeout):
                answer = await future
        except TimeoutError:
            raise ChannelLost(f"{verb} was not answered in {timeout:g} s") from None
        finally:
            self._waiting.pop(seq, None)
        if answer.verb == "error":
            if answer.number("errno"):
                raise OSError(answer.number("errno"), answer.text("text", os.strerror(answer.number("errno"))))
            raise Failure(Exit.SYSTEM, f"{verb}: {answer.text('text', 'failed inside the container')}")
        return answer


def receive(end: socket.socket) -> Message:
    """The next message of *end*.  Raises BlockingIOError when there is none, EOFError at the end."""
    data, ancillary, flags, _ = end.recvmsg(
        protocol.MAX_FRAME, socket.CMSG_SPACE(MAX_FDS * 4), socket.MSG_CMSG_CLOEXEC
    )
    fds: list[Fd] = []
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers = array.array("i")
            numbers.frombytes(payload[: len(payload) - len(payload) % numbers.itemsize])
            fds += [Fd(number, "descriptor from init") for number in numbers]
    if not data:
        raise EOFError
    if flags & socket.MSG_TRUNC:
        raise protocol.BadFrame("truncated")
    verb, parsed = protocol.decode(data)
    return Message(verb, parsed, fds)
