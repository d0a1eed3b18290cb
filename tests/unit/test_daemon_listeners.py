"""Many that listen at once, on a fake cgroup v2: one watch for all of them, and each hears what it would hear alone."""

import asyncio
import errno
import logging
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hostd.command.host import Event
from hostd.container.container import Container
from hostd.daemon import refusals
from hostd.daemon.events import Events, Listener
from hostd.daemon.monitor import Monitor
from hostd.daemon.refusals import Figures, Watch
from hostd.daemon.registry import Registry
from tests.harness.monitor_box import Box

Heard = list[tuple[object, object]]  # CTID and failcnt


class Crowd(Box):
    """A monitor of the containers 101 and 102, of whose refusals the kernel gives no sign."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.events = Events()
        self.containers = [self.container(101), self.container(102)]
        self.monitor = Monitor(cast(Registry, SimpleNamespace(events=self.events, known=lambda: self.containers)))
        self.tasks: list[asyncio.Task[None]] = []

    async def listen(self, *ctids: int) -> Heard:
        """One more; returns when it listens what it is going to have heard."""
        heard: Heard = []

        def hear(event: Event) -> None:
            heard.append((event["ctid"], event.get("failcnt")))

        self.tasks.append(asyncio.ensure_future(self.monitor.listen(frozenset(ctids), 0, hear)))
        watched = self.monitor._refusals
        await until(lambda: len(watched._listeners) == len(self.tasks) and not watched._one.locked())
        return heard

    async def end(self, number: int) -> None:
        task = self.tasks.pop(number)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - what is awaited are states of several parts
            await asyncio.sleep(0.005)


@pytest.fixture
def crowd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Crowd:
    monkeypatch.setattr(refusals, "PERIOD", 0.01)
    return Crowd(tmp_path)


def play(crowd: Crowd, scene: Callable[[], Coroutine[object, object, None]]) -> None:
    async def run() -> None:
        await scene()
        while crowd.tasks:
            await crowd.end(0)
        assert crowd.events._listeners == [] and crowd.monitor._refusals._watch is None
        await until(lambda: len(asyncio.all_tasks()) == 1)

    asyncio.run(run())


def test_ten_listeners_have_one_watch(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins with the first, and ends with the last."""
    life: list[str] = []

    class Noted(Watch):
        def __init__(self, stirred: asyncio.Event, tell: Callable[..., None]) -> None:
            super().__init__(stirred, tell)
            life.append("begun")

        def close(self) -> None:
            super().close()
            life.append("ended")

    monkeypatch.setattr(refusals, "Watch", Noted)

    async def scene() -> None:
        assert life == []
        heard = [await crowd.listen() for _ in range(10)]
        crowd.refused(101, processes=3)
        await until(lambda: all(heard))
        assert heard == [[(101, 3)]] * 10
        while crowd.tasks:
            assert life == ["begun"]
            await crowd.end(0)
        await until(lambda: life == ["begun", "ended"])
        again = await crowd.listen()
        assert life == ["begun", "ended", "begun"]
        crowd.refused(101, processes=4)
        await until(lambda: again == [(101, 4)])

    play(crowd, scene)


def test_what_was_before_is_told_to_those_who_were_there(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "PERIOD", 1e9)

    async def scene() -> None:
        first = await crowd.listen(101)
        crowd.refused(101, processes=3)
        crowd.refused(102, processes=5)
        second = await crowd.listen()
        assert (first, second) == ([(101, 3)], [])
        crowd.refused(102, processes=6)
        third = await crowd.listen(102)
        assert (first, second, third) == ([(101, 3)], [(102, 6)], [])
        await crowd.end(1)
        crowd.refused(101, processes=4)
        await crowd.listen()
        assert (first, second, third) == ([(101, 3), (101, 4)], [(102, 6)], [])

    play(crowd, scene)


def test_only_those_are_looked_at_of_whom_somebody_wants_to_hear(crowd: Crowd) -> None:
    async def scene() -> None:
        await crowd.listen(101)
        assert [ct.ctid for ct in crowd.monitor._refusals._running()] == [101]
        await crowd.listen()
        assert [ct.ctid for ct in crowd.monitor._refusals._running()] == [101, 102]
        await crowd.end(1)
        assert [ct.ctid for ct in crowd.monitor._refusals._running()] == [101]

    play(crowd, scene)


def test_one_who_leaves_while_he_comes(crowd: Crowd) -> None:
    """Nothing of him stays, and those behind him are served."""

    async def scene() -> None:
        listening = asyncio.ensure_future(crowd.monitor.listen(frozenset(), 0, lambda event: None))
        await until(crowd.monitor._refusals._one.locked)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        heard = await crowd.listen()
        crowd.refused(101, processes=1)
        await until(lambda: heard == [(101, 1)])

    play(crowd, scene)


def test_one_who_comes_while_the_only_other_leaves(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    """He has the watch in use that would end with the other; what was refused before is no event for him."""
    monkeypatch.setattr(refusals, "PERIOD", 1e9)
    look = Watch.look

    async def slow(watch: Watch, running: list[Container]) -> None:
        await look(watch, running)
        if len(crowd.tasks) == 2:
            await crowd.end(0)

    async def scene() -> None:
        await crowd.listen(101)
        crowd.refused(101, processes=3)
        monkeypatch.setattr(Watch, "look", slow)
        heard = await crowd.listen(101)
        monkeypatch.setattr(Watch, "look", look)
        crowd.refused(101, processes=4)
        third = await crowd.listen(101)
        assert (heard, third) == ([(101, 4)], [])

    play(crowd, scene)


def test_a_watch_that_breaks_ends_all_who_listen(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        for _ in range(2):
            await crowd.listen()

        async def broken(*_: object) -> Figures:
            raise OSError("gone")

        monkeypatch.setattr(Watch, "_figures", broken)
        for task in crowd.tasks:
            with pytest.raises(OSError, match="gone"):
                await asyncio.wait_for(task, 60)

    play(crowd, scene)


def test_listening_ends_with_hostd_and_leaves_nothing(crowd: Crowd) -> None:
    async def scene() -> None:
        heard = await crowd.listen(101)
        crowd.events.tell(101, "start")
        crowd.events.tell(102, "start")
        crowd.monitor.leave()
        await asyncio.wait_for(crowd.tasks[0], 60)
        assert heard == [(101, None)]

    play(crowd, scene)


def test_a_listener_that_fails_keeps_nothing_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """As one that has no descriptor left: what happened has happened."""
    events, heard = Events(), list[object]()

    def fail(event: Event) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with (
        events.listening(Listener(frozenset(), fail)),
        events.listening(Listener(frozenset(), lambda event: heard.append(event["event"]))),
        caplog.at_level(logging.WARNING, "vzhost"),
    ):
        events.tell(101, "stop")
    assert heard == ["stop"] and caplog.messages == ["stop of CT 101 was not heard: [Errno 24] Too many open files"]
