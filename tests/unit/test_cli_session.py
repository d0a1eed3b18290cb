"""A session in the daemon against a command played by the test."""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine

import pytest

from hostd.cli import wire
from hostd.daemon.session import CommandGone, CommandSession
from hostd.kernel.fd import Fd
from vzinit.protocol import decode, encode

Scene = Callable[[CommandSession, socket.socket], Coroutine[object, object, None]]


def play(scene: Scene) -> None:
    """Run *scene* with a session and the command's end of it; nothing may stay open."""

    async def run() -> None:
        theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        session = CommandSession(ours)
        with theirs:
            await scene(session, theirs)
        await session.gone.wait()
        session.close()

    before = os.listdir("/proc/self/fd")
    asyncio.run(run())
    assert os.listdir("/proc/self/fd") == before


def received(command: socket.socket) -> list[tuple[str, list[str]]]:
    """(verb, texts) of every frame that waits."""
    frames: list[tuple[str, list[str]]] = []
    command.setblocking(False)
    while True:
        try:
            frame, fds = wire.receive(command)
        except BlockingIOError:
            return frames
        wire.close_all(fds)
        verb, fields = decode(frame)
        frames.append((verb, fields.get("text", [])))


def test_the_request() -> None:
    async def scene(session: CommandSession, command: socket.socket) -> None:
        terminal = {"tty": 1, "rows": 5, "cols": 6, "term": "vt"}
        command.send(encode("run", prog="vzctl", arg=["set", "5"], cwd="/x", **terminal))
        assert await session.request() == ("vzctl", ["set", "5"])
        assert (session.tty, session.rows, session.cols, session.term) == (True, 5, 6, "vt")
        assert session.cwd == "/x"

    play(scene)


@pytest.mark.parametrize("size", ["", "many", "-1", "9" * 5000, "\u00b2"])
def test_a_terminal_of_no_size_has_the_usual_one(size: str) -> None:
    async def scene(session: CommandSession, command: socket.socket) -> None:
        command.send(encode("run", prog="vzctl", rows=size, cols=size))
        assert await session.request() == ("vzctl", [])
        assert (session.rows, session.cols) == (24, 80)

    play(scene)


def test_text_of_any_size_and_kind() -> None:
    async def scene(session: CommandSession, command: socket.socket) -> None:
        text = "\U0001f40d" * 70000 + "\udcff"
        session.out(text)
        session.out("")
        session.err("a\0b")
        frames = received(command)
        while frames[-1][0] != "err":
            await asyncio.sleep(0)  # the loop sends what did not fit
            frames += received(command)
        assert "".join(texts[0] for verb, texts in frames if verb == "out") == text
        assert frames[-1] == ("err", ["a\ufffdb"])

    play(scene)


def test_pipes_of_a_command_that_goes_away() -> None:
    async def scene(session: CommandSession, command: socket.socket) -> None:
        asking = asyncio.ensure_future(session.pipes())
        await asyncio.sleep(0)
        command.close()
        with pytest.raises(CommandGone):
            await asking
        with pytest.raises(CommandGone):
            await session.pipes()
        session.out("to nobody")
        assert not session.cancelled.is_set()

    play(scene)


def test_a_relay_of_a_command_that_goes_away_is_cancelled() -> None:
    async def scene(session: CommandSession, command: socket.socket) -> None:
        master, slave = os.openpty()
        relay = asyncio.ensure_future(session.relay_pty(Fd(master, "pty")))
        await asyncio.sleep(0)
        command.close()
        await relay
        assert session.cancelled.is_set()
        with pytest.raises(OSError):
            os.write(slave, b"x")  # no master is left
        os.close(slave)
        await session.hangup()

    play(scene)


def test_a_hang_up_that_nobody_answers_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hostd.daemon.session._HANGUP_PATIENCE", 0.01)

    async def scene(session: CommandSession, command: socket.socket) -> None:
        await session.relay_pipes()
        await session.hangup()
        assert [verb for verb, _ in received(command)] == ["relay", "hangup"]

    play(scene)


@pytest.mark.parametrize("junk", [b"x", b"\xff\xfe\0", encode("unknown", a=1), encode("give"), encode("sak")])
def test_junk_does_no_harm(junk: bytes) -> None:
    async def scene(session: CommandSession, command: socket.socket) -> None:
        with Fd(os.memfd_create("x")) as fd:
            wire.send(command, junk, [fd.fileno()])

    play(scene)
