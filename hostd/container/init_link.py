"""hostd's end of the channel to a container's PID 1: typed calls, events, and what a lost channel means.

Requests carry a number and wait for the answer with the same number; everything else that vzinit says is an event.

PID 1 belongs to the guest: whatever arrives here may be hostile.  So nothing blocks (O_NONBLOCK is no help: the
guest may share our end's file description and clear it), numbers and texts are bounded, descriptors are looked at
before they are used, and a guest that floods the channel waits while the others are served.
"""

import array
import asyncio
import os
import socket
import stat
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hostd.errors import Exit, Failure
from hostd.kernel.fd import Fd
from hostd.log import log, printable
from vzinit import protocol

ANSWER_TIMEOUT = 30.0  # seconds: a busy container on a busy host; a dead one is noticed by its pidfd
MAX_FDS = 253  # SCM_MAX_FD: with less space the kernel would close the rest in its own way
BATCH = 64  # frames read in one go: one container must not starve the others
QUOTA = 2000  # frames per second and container; the busiest honest one ends some hundred sessions
MOST_QUEUED = 5000  # frames; a socket's buffer holds some hundred
MAX_BAD = 16  # frames that make no sense, until the channel is given up
LONGEST = 300  # characters of a text that goes to people
MAX_ERRNO = 4095  # linux/err.h


@dataclass
class Message:
    """One frame from vzinit with the descriptors that came along."""

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
            self._drain()
            self._socket.close()

    def _drain(self) -> None:
        """Take what is still queued: with descriptors in it, the last to close our end (the keeper) might linger."""
        for _ in range(MOST_QUEUED):
            try:
                receive(self._socket)
            except protocol.BadFrame:
                continue
            except (OSError, EOFError):
                return

    def _readable(self) -> None:
        for _ in range(BATCH):
            if not self._within_quota():
                return
            try:
                message = receive(self._socket)
                self._dispatch(message)
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
            if self._socket.fileno() < 0:
                return

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

    def _dispatch(self, message: Message) -> None:
        if message.verb == "pair" and message.fds:
            self._switch(message.fds[0])
        waiting = self._waiting.pop(message.text("seq"), None)
        if waiting is None:
            self._on_event(message)
        elif not waiting.done():
            waiting.set_result(message)

    def _switch(self, end: Fd) -> None:
        """Go over to the lasting pair, which vzinit made in its own network namespace."""
        if not self._pair_due:
            raise protocol.BadFrame("a pair that nobody asked for")
        lasting = seqpacket(end)
        self._pair_due = False
        self._leave()
        self._adopt(lasting)

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


def seqpacket(end: Fd) -> socket.socket:
    """*end* as the connected SEQPACKET socket that it must be.  Raises BadFrame for anything else."""
    if stat.S_ISSOCK(os.fstat(end.fileno()).st_mode):
        found = socket.socket(fileno=end.dup().steal())
        listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if (found.family, found.type, listens) == (socket.AF_UNIX, socket.SOCK_SEQPACKET, 0):
            end.close()
            return found
        found.close()
    raise protocol.BadFrame("the pair is no SEQPACKET socket")


def receive(end: socket.socket) -> Message:
    """The next message of *end*.  Raises BlockingIOError when there is none, EOFError at the end."""
    data, ancillary, flags, _ = end.recvmsg(
        protocol.MAX_FRAME, socket.CMSG_SPACE(MAX_FDS * 4), socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT
    )
    fds: list[Fd] = []
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers = array.array("i")
            numbers.frombytes(payload[: len(payload) - len(payload) % numbers.itemsize])
            fds += [Fd(number, "descriptor from init") for number in numbers]
    for fd in fds:
        _do_not_linger(fd)
    if not data:
        raise EOFError
    if flags & socket.MSG_TRUNC:
        raise protocol.BadFrame("truncated")
    verb, parsed = protocol.decode(data)
    return Message(verb, parsed, fds)


def _do_not_linger(fd: Fd) -> None:
    """A TCP socket with SO_LINGER blocks whoever closes it last, for as long as its maker likes."""
    if stat.S_ISSOCK(os.fstat(fd.fileno()).st_mode):
        with socket.socket(fileno=fd.dup().steal()) as end:
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
            except OSError:
                pass  # a kind of socket without it
