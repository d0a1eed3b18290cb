"""Who follows a container from one start to the next: a console."""

import asyncio
import os
from types import SimpleNamespace
from typing import cast

import pytest

from hostd.container.awake import Awake
from hostd.container.container import Container, Ended
from hostd.container.init_link import ChannelLost, InitLink, Message
from hostd.container.ops import console
from hostd.container.ops.sessions import Terminal
from hostd.container.world import World
from hostd.errors import Failure
from hostd.kernel.fd import Fd
from hostd.kernel.process import Process


def test_every_time_is_seen_once() -> None:
    async def scene() -> None:
        awake = Awake()
        first = asyncio.ensure_future(awake.after(0))
        await asyncio.sleep(0)
        assert not first.done()
        awake.begin()
        assert await first == await awake.after(0) == 1
        second = asyncio.ensure_future(awake.after(1))
        await asyncio.sleep(0)
        assert not second.done()
        awake.end()
        awake.begin()
        assert await second == 2

    asyncio.run(scene())


def test_a_time_that_passed_unseen_is_not_waited_for() -> None:
    async def scene() -> None:
        awake = Awake()
        for _ in range(3):
            awake.begin()
            awake.end()
        late = asyncio.ensure_future(awake.after(1))
        await asyncio.sleep(0)
        assert not late.done()
        awake.begin()
        assert await late == 4

    asyncio.run(scene())


def test_nobody_waits_for_the_next_daemon() -> None:
    async def scene() -> None:
        awake = Awake()
        waiting = asyncio.ensure_future(awake.after(0))
        await asyncio.sleep(0)
        awake.give_up()
        with pytest.raises(Failure, match="hostd leaves"):
            await waiting

    asyncio.run(scene())


class Watcher:
    """The command at a console: what it was given to show, which it says to have ended at once."""

    def __init__(self) -> None:
        self.detached = asyncio.Event()
        self.shown: list[str] = []

    async def relay_console(self, stream: Fd) -> None:
        with stream:
            self.shown.append("nothing" if os.read(stream.fileno(), 10) == b"" else "something")

    async def hangup(self) -> None:
        self.shown.append("hung up")


class Init:
    """PID 1, which shows a word, or with *dies* ends as it is asked."""

    def __init__(self, ct: Container, *, dies: bool = False, silent: bool = False) -> None:
        self.ct, self.dies, self.silent = ct, dies, silent

    async def ask(self, verb: str, fds: list[int], **_: object) -> Message:
        if self.dies:
            asyncio.get_running_loop().call_soon(self.ct.gone, Ended("died"))
        if self.dies or self.silent:
            raise ChannelLost(verb)
        os.write(fds[0], b"a word")
        return Message("done", {})


async def noticed() -> None:
    """Everybody has done what there was to do."""
    for _ in range(20):
        await asyncio.sleep(0)


async def up(ct: Container, **kind: bool) -> None:
    """Start it, and let everybody notice."""
    ct.born(cast(Process, SimpleNamespace(alive=lambda: True)))
    ct.link = cast(InitLink, Init(ct, **kind))
    ct.awake.begin()
    await noticed()


def test_a_console_outlives_a_container_that_dies_as_it_is_attached() -> None:
    async def scene() -> None:
        ct, watcher = Container(cast(World, None), 101), Watcher()
        watching = asyncio.ensure_future(console.console(ct, 1, cast(Terminal, watcher)))
        await noticed()
        await up(ct, dies=True)
        await up(ct)
        assert watcher.shown == ["nothing", "nothing", "something"]
        watcher.detached.set()
        await watching

    asyncio.run(scene())


def test_a_container_that_runs_and_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "DYING", 0.01)

    async def scene() -> None:
        ct = Container(cast(World, None), 101)
        await up(ct, silent=True)
        with pytest.raises(ChannelLost):
            await console.console(ct, 1, cast(Terminal, Watcher()))

    asyncio.run(scene())


def test_a_signal_ends_a_console_in_order() -> None:
    async def scene() -> None:
        watcher = Watcher()
        watching = asyncio.ensure_future(
            console.console(Container(cast(World, None), 101), 1, cast(Terminal, watcher))
        )
        await noticed()
        watching.cancel()
        await watching
        assert watcher.shown == ["nothing", "hung up"]

    asyncio.run(scene())
