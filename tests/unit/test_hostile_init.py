"""PID 1 belongs to the guest: whatever it sends, the daemon neither blocks nor breaks nor believes it."""

import asyncio
import fcntl
import os
import socket
import struct
import time
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostd.container import init_link
from hostd.container.init_link import ChannelLost, InitLink, Message
from hostd.errors import Failure
from hostd.kernel.fd import Fd
from vzinit import protocol

VERBS = ("hello", "pair", "ready", "running", "ended", "bye", "error", "session", "text", "done", "", "x" * 5000)
KEYS = ("seq", "id", "ino", "clock", "errno", "text", "code", "signal", "how", "failed", "")
VALUES = st.one_of(
    st.sampled_from(("", "0", "-1", "1", "9" * 18, "9" * 5000, "1e9", "٣", "\x1b]0;x\x07\n2026 forged", "\udc80")),
    st.text(st.characters(exclude_characters="\0"), max_size=50),
)
FRAMES = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda verb, fields: "\0".join([verb, *(f"{k}={v}" for k, v in fields), ""]).encode("utf-8", "surrogateescape"),
        st.sampled_from(VERBS),
        st.lists(st.tuples(st.sampled_from(KEYS), VALUES.filter(lambda v: not _lone(v))), max_size=6),
    ),
)


def _lone(text: str) -> bool:
    """Surrogates that surrogateescape does not encode."""
    return any("\ud800" <= char <= "\udfff" and not "\udc80" <= char <= "\udcff" for char in text)


class Guest:
    """The far end, and what the link said of it."""

    def __init__(self) -> None:
        ours, self.end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.events: list[Message] = []
        self.lost = 0
        self.link = InitLink(ours, self.events.append, self._on_lost)

    def _on_lost(self) -> None:
        self.lost += 1

    def send(self, verb: str, *fds: int, **fields: object) -> None:
        socket.send_fds(self.end, [protocol.encode(verb, **fields)], fds)

    async def heard(self, count: int) -> None:
        for _ in range(10_000):
            if len(self.events) >= count or self.lost:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"{len(self.events)} events instead of {count}")

    async def answer(self, verb: str, **fields: object) -> Message:
        """Let the link ask, answer with *verb*."""
        asked = asyncio.ensure_future(self.link.ask("enter", timeout=5))
        await asyncio.sleep(0)
        _, request = protocol.decode(self.end.recv(protocol.MAX_FRAME))
        self.send(verb, seq=request["seq"][0], **fields)
        return await asked


def play(scenario: Callable[[Guest], Awaitable[None]]) -> None:
    async def run() -> None:
        guest = Guest()
        try:
            await scenario(guest)
        finally:
            guest.link.close()
            guest.end.close()

    asyncio.run(run(), debug=False)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(FRAMES, max_size=8))
def test_no_frames_break_the_link(frames: list[bytes]) -> None:
    failures: list[dict[str, object]] = []

    async def scenario(guest: Guest) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))
        asked = asyncio.ensure_future(guest.link.ask("ping", timeout=0.005))  # its number is 1: frames may guess it
        await asyncio.sleep(0)
        for frame in frames:
            guest.end.send(frame)
        try:
            await asked
        except (Failure, OSError) as error:
            assert "\n" not in str(error) and "\x1b" not in str(error)
        for event in guest.events:
            assert 0 <= event.number("id") < 10**18

    play(scenario)
    assert not failures


@pytest.mark.parametrize("errno", ["x", "-1", "0", "9" * 30, "4096"])
def test_an_error_without_a_sane_number_is_still_one_line(errno: str) -> None:
    async def scenario(guest: Guest) -> None:
        with pytest.raises(Failure) as refused:
            await guest.answer("error", errno=errno, text="\x1b[2J" + "no\n" * 9999)
        assert str(refused.value).startswith("enter: \\x1b[2Jno\\n") and len(str(refused.value)) < 1000

    play(scenario)


def test_a_session_without_its_terminal_is_refused() -> None:
    async def scenario(guest: Guest) -> None:
        with pytest.raises(ChannelLost):
            (await guest.answer("session")).descriptor()

    play(scenario)


def unconnected() -> int:
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).detach()


def listening() -> int:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    end.bind("")
    end.listen()
    return end.detach()


@pytest.mark.parametrize("make", [lambda: os.open("/dev/zero", os.O_RDWR), unconnected, listening])
def test_a_pair_of_another_kind_is_not_used(make: Callable[[], int]) -> None:
    async def scenario(guest: Guest) -> None:
        fd = make()
        guest.send("pair", fd)
        os.close(fd)
        guest.send("hello")
        await guest.heard(1)
        assert [event.verb for event in guest.events] == ["hello"] and not guest.lost

    play(scenario)


def test_a_second_pair_comes_only_when_asked_for() -> None:
    async def scenario(guest: Guest) -> None:
        first, second = (socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2))
        guest.send("pair", first[0].fileno())
        await guest.heard(1)
        socket.send_fds(first[1], [b"pair\0"], [second[0].fileno()])
        first[1].send(b"hello\0")
        await guest.heard(2)
        guest.link.tell("go")
        assert protocol.decode(first[1].recv(1000))[0] == "go"
        for end in (*first, *second):
            end.close()

    play(scenario)


def test_a_shared_description_made_blocking_does_not_block_us() -> None:
    """The guest keeps a copy of the end that it gives us, and clears O_NONBLOCK on it."""

    async def scenario(guest: Guest) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        guest.send("pair", ours.fileno())
        await guest.heard(1)
        fcntl.fcntl(ours, fcntl.F_SETFL, 0)
        theirs.send(b"ready\0")
        await guest.heard(2)  # and reads on until there is nothing: here it would hang
        with pytest.raises(ChannelLost):
            for _ in range(100_000):  # nobody reads: here it would hang
                guest.link.tell("ping", pad="x" * 10_000)
        ours.close()
        theirs.close()

    play(scenario)


def lingering(server: socket.socket) -> socket.socket:
    """A TCP socket whose last close takes half a minute: SO_LINGER, and data that nobody reads."""
    client = socket.create_connection(server.getsockname())
    client.setblocking(False)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 30))
    with pytest.raises(BlockingIOError):
        while True:
            client.send(bytes(1 << 16))
    return client


def test_a_socket_that_lingers_does_not_make_us_wait() -> None:
    async def scenario(guest: Guest) -> None:
        server = socket.create_server(("127.0.0.1", 0))
        client = lingering(server)
        guest.send("running", client.fileno())
        client.close()
        before = time.monotonic()
        await guest.heard(1)
        guest.events.clear()  # and with them the descriptor
        assert time.monotonic() - before < 5
        server.close()

    play(scenario)


def test_nor_does_one_that_was_never_read_make_the_keeper_wait() -> None:
    async def scenario(guest: Guest) -> None:
        server = socket.create_server(("127.0.0.1", 0))
        client = lingering(server)
        guest.send("running", client.fileno())
        client.close()
        keepers = guest.link.fd
        before = time.monotonic()
        guest.link.close()
        keepers.close()
        assert time.monotonic() - before < 5
        server.close()

    play(scenario)


def test_what_is_queued_later_is_nobody_s_to_close() -> None:
    """The keeper's copy is the last one of a channel that was given up."""

    async def scenario(guest: Guest) -> None:
        keepers = guest.link.fd
        guest.link.close()
        with pytest.raises(BrokenPipeError):
            guest.send("running")
        keepers.close()

    play(scenario)


def test_only_what_an_answer_may_bring_is_kept() -> None:
    async def scenario(guest: Guest) -> None:
        for number, kept in ((os.memfd_create("x"), 1), (os.open("/dev/zero", os.O_RDWR), 0)):
            asked = asyncio.ensure_future(guest.link.ask("ring", timeout=5))
            await asyncio.sleep(0)
            _, request = protocol.decode(guest.end.recv(protocol.MAX_FRAME))
            with Fd(number, "given") as fd:
                socket.send_fds(guest.end, [protocol.encode("ring", seq=request["seq"][0])], [fd.fileno()] * 2)
            assert len((await asked).fds) == kept

    play(scenario)


def test_a_frame_that_takes_long_to_read_is_not_read() -> None:
    async def scenario(guest: Guest) -> None:
        guest.end.send(b"running\0" + b"a=\0" * (init_link.MOST_FIELDS + 1))
        guest.end.send(b"hello\0" + b"a=\0" * (init_link.MOST_FIELDS - 1))
        await guest.heard(1)
        assert [event.verb for event in guest.events] == ["hello"] and guest.link._bad == 1

    play(scenario)


def test_a_flood_leaves_time_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init_link, "QUOTA", 50)

    async def scenario(guest: Guest) -> None:
        sent = 0
        guest.end.setblocking(False)
        for _ in range(100_000):
            try:
                guest.send("running", failed="x" * 100)
                sent += 1
            except BlockingIOError:  # nobody takes any more: the guest waits, not we
                if len(guest.events) >= 50:
                    break
                await asyncio.sleep(0)
        assert len(guest.events) == 50 < sent
        guest.link.tell("ping")  # and we can still talk

    play(scenario)


def test_a_guest_that_talks_nonsense_is_given_up() -> None:
    async def scenario(guest: Guest) -> None:
        for _ in range(init_link.MAX_BAD):
            guest.end.send(b"no end")
        await guest.heard(1)
        assert guest.lost == 1

    play(scenario)
