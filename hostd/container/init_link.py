"""hostd's end of the channel to a container's PID 1: typed calls, events, and what a lost channel means.

Requests carry a number and wait for the answer with the same number; everything else that vzinit says is an event.

PID 1 belongs to the guest: whatever arrives here may be hostile.  So nothing blocks (O_NONBLOCK is no help: the
guest may share our end's file description and clear it), numbers and texts are bounded, descriptors that nobody asked
for go to the `Disposal`, and a guest that floods the channel waits while the others are served.
"""

import array
import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hostd.cli import wire
from hostd.container.handed_over import Disposal, Kind, kind
from hostd.errors import Exit, Failure
from hostd.kernel.fd import Fd
from hostd.log import log, printable
from vzinit import protocol

ANSWER_TIMEOUT = 30.0  # seconds: a busy container on a busy host; a dead one is noticed by its pidfd
BATCH = 64  # frames read in one go: one container must not starve the others
QUOTA = 2000  # frames of SHORT bytes per second and container; the busiest honest one ends some hundred sessions
SHORT = 4096
MOST_FIELDS = 1000  # of a frame: what more take to read is time that others miss
MAX_BAD = 16  # frames that make no sense, until the channel is given up
LONGEST = 300  # characters of a text that goes to people
MAX_ERRNO = 4095  # linux/err.h


@dataclass
class Message:
    """One frame from vzinit; of an answer what came along, as far as it is a terminal or memory."""

    verb: str
    fields: protocol.Fields
    fds: list[Fd] = field(default_factory=list)

    def text(self, key: str, default: str = "") -> str:
        return protocol.one(self.fields, key, default)

    def words(self, key: str, default: str = "") -> str:
        """A text for people: one line, without control characters, not long."""
        return printable(self.text(key, default)[:LONGEST])

    def number(self, key: str, default: int = 0) -> int:
        """A number of at most 18 digits; *default* for whatever is none."""
        text = self.text(key)
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else default

    def descriptor(self) -> Fd:
        """The descriptor that has to come along.  Raises ChannelLost."""
        if not self.fds:
            raise ChannelLost(f"{self.verb[:20]!r} came without its descriptor")
        return self.fds[0]


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
        self._pair_due = True  # the first comes by itself, further ones are asked for
        self._bad = 0
        self._second, self._frames = 0.0, 0  # the running second, and the frames it brought
        self._pause: asyncio.TimerHandle | None = None
        self._disposal = Disposal()
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
        self._leave()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ChannelLost("channel closed"))
        self._waiting.clear()

    def _leave(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._disposal.take_channel(socket.socket(fileno=self._socket.detach()))

    def _readable(self) -> None:
        for _ in range(BATCH):
            if not self._within_quota():
                return
            given: list[Fd] = []
            try:
                self._dispatch(self._receive(given), given)
            except BlockingIOError:
                return
            except protocol.BadFrame as error:
                self._bad += 1
                log.warning("bad frame from init: %s", error)
                if self._bad >= MAX_BAD:
                    self._lose()
                    return
            except (OSError, EOFError):
                self._lose()
                return
            finally:
                few = self._disposal.take(given)
            if not few:
                log.warning("init hands over what takes too long to close")
                self._lose()
            if self._socket.fileno() < 0:
                return

    def _receive(self, given: list[Fd]) -> Message:
        """The next message, what came along put into *given*.  BlockingIOError when there is none, EOFError at the end.
        """
        data, control, flags, _ = self._socket.recvmsg(
            protocol.MAX_FRAME, wire.SPACE, socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT
        )
        given += [Fd(number, "descriptor from init") for number in wire.descriptors(control)]
        if not data:
            raise EOFError
        if flags & socket.MSG_TRUNC:
            raise protocol.BadFrame("truncated")
        if data.count(0) > MOST_FIELDS:
            raise protocol.BadFrame("more fields than anybody reads")
        self._frames += len(data) // SHORT
        return Message(*protocol.decode(data))

    def _lose(self) -> None:
        self.close()
        self._on_lost()

    def _within_quota(self) -> bool:
        """False when the guest has had its share of this second; then it is read again in the next one."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._second + 1:
            self._second, self._frames = loop.time(), 0
        self._frames += 1
        if self._frames <= QUOTA:
            return True
        loop.remove_reader(self._socket.fileno())
        self._pause = loop.call_at(self._second + 1, self._adopt, self._socket)
        return False

    def _dispatch(self, message: Message, given: list[Fd]) -> None:
        """*given*: what came along; what is wanted of it is taken out."""
        if message.verb == "pair" and given:
            self._switch(given)
        waiting = self._waiting.pop(message.text("seq"), None)
        if waiting is None:
            self._on_event(message)
        elif not waiting.done():
            if given and kind(given[0]) in (Kind.TERMINAL, Kind.MEMORY):
                message.fds.append(given.pop(0))
            waiting.set_result(message)

    def _switch(self, given: list[Fd]) -> None:
        """Go over to the lasting pair, which vzinit made in its own network namespace."""
        if not self._pair_due:
            raise protocol.BadFrame("a pair that nobody asked for")
        if not is_seqpacket(given[0]):
            raise protocol.BadFrame("the pair is no SEQPACKET socket")
        self._pair_due = False
        self._leave()
        self._adopt(socket.socket(fileno=given.pop(0).steal()))

    def tell(self, verb: str, fds: Sequence[int] = (), **fields: object) -> None:
        """Send one frame; nothing is answered."""
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self._socket.sendmsg([protocol.encode(verb, **fields)], ancillary, socket.MSG_DONTWAIT)
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
        self._pair_due = self._pair_due or verb == "newpair"
        try:
            self.tell(verb, fds, seq=seq, **fields)
            async with asyncio.timeout(timeout):
                answer = await future
        except TimeoutError:
            raise ChannelLost(f"{verb} was not answered in {timeout:g} s") from None
        finally:
            self._waiting.pop(seq, None)
        if answer.verb == "error":
            raise refusal(verb, answer)
        return answer


def refusal(verb: str, answer: Message) -> OSError | Failure:
    """The exception that an `error` answer stands for."""
    errno = answer.number("errno")
    if 0 < errno <= MAX_ERRNO:
        return OSError(errno, answer.words("text") or os.strerror(errno))
    return Failure(Exit.SYSTEM, f"{verb}: {answer.words('text') or 'failed inside the container'}")


def is_seqpacket(end: Fd) -> bool:
    """It is a connected one."""
    if kind(end) is not Kind.UNIX:
        return False
    with socket.socket(fileno=end.dup().steal()) as found:  # a second one of it: *end* is who closes it
        listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        return (found.type, listens) == (socket.SOCK_SEQPACKET, 0)


def abandon(end: Fd) -> None:
    """The end of a channel that nobody needs."""
    if kind(end) is Kind.UNIX:
        Disposal().take_channel(socket.socket(fileno=end.steal()))
    else:
        end.close()
