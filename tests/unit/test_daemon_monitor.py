"""Refusals on a fake cgroup v2: what is told of whom, and what is not."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hostd.cgroup.alarm import Alarm
from hostd.cgroup.hierarchies import Hierarchy
from hostd.cgroup.tree import CgroupTree
from hostd.command.host import Event
from hostd.container import socket_limits
from hostd.container.container import Container
from hostd.container.record import Record
from hostd.container.world import World
from hostd.daemon import monitor
from hostd.daemon.events import Events, Listener
from hostd.daemon.monitor import Monitor, _Watch
from hostd.daemon.registry import Registry


class Box:
    """Containers whose cgroups are plain files, and what a listener has heard of them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "vz").mkdir()
        (directory / "vz/cgroup.subtree_control").write_text("memory pids\n")
        self.tree = CgroupTree("vz", (Hierarchy(str(directory), frozenset(), unified=True),))
        self.heard: list[Event] = []
        self.listener = Listener(frozenset(), self.heard.append)

    def container(self, ctid: int, serial: int = 1, counted: int = 0) -> Container:
        record = Record(ctid=ctid, serial=serial, counted={"numproc": [0, counted]} if counted else {})
        self.refused(ctid)
        return Container(cast(World, SimpleNamespace(tree=self.tree)), ctid, record=record)

    def refused(self, ctid: int, processes: int = 0, memory: int = 0, kills: int = 0) -> None:
        directory = self.directory / f"vz/{ctid}"
        directory.mkdir(exist_ok=True)
        (directory / "pids.events").write_text(f"max {processes}\n")
        (directory / "memory.events").write_text(f"low 0\nhigh 0\nmax {memory}\noom 0\noom_kill {kills}\n")

    def told(self) -> list[tuple[object, ...]]:
        """(CTID, event, which or "", figure) since the last time."""
        found: list[tuple[object, ...]] = [
            (one["ctid"], one["event"], one.get("which", ""), one.get("failcnt", one.get("killed")))
            for one in self.heard
        ]
        self.heard.clear()
        return found


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def play(box: Box, scene: Callable[[_Watch], Coroutine[object, object, None]]) -> None:
    async def run() -> None:
        with _Watch(box.listener) as watch:
            await scene(watch)

    asyncio.run(run())


def test_only_what_is_new_is_told(box: Box) -> None:
    async def scene(watch: _Watch) -> None:
        one, two = box.container(101), box.container(102)
        box.refused(101, processes=7, memory=2)
        await watch.begin([one, two])
        await watch.look([one, two])
        assert box.told() == []
        box.refused(101, processes=9, memory=2)
        box.refused(102, memory=1, kills=1)
        await watch.look([one, two])
        assert sorted(box.told(), key=str) == [
            (101, "limit", "numproc", 9),
            (102, "limit", "physpages", 1),
            (102, "oom", "", 1),
        ]
        await watch.look([one, two])
        assert box.told() == []

    play(box, scene)


def test_who_comes_later_is_heard_from_his_start_on(box: Box) -> None:
    async def scene(watch: _Watch) -> None:
        await watch.begin([])
        one = box.container(101)
        box.refused(101, processes=3)
        await watch.look([one])
        assert box.told() == [(101, "limit", "numproc", 3)]
        again = box.container(101, serial=2)  # a reboot: a new cgroup, which counts from 0
        await watch.look([again])
        assert box.told() == []
        box.refused(101, processes=2)
        await watch.look([again])
        assert box.told() == [(101, "limit", "numproc", 2)]
        await watch.look([])
        assert box.told() == []

    play(box, scene)


def test_failcnt_goes_on_over_a_checkpoint(box: Box) -> None:
    async def scene(watch: _Watch) -> None:
        one = box.container(101, counted=40)
        await watch.begin([one])
        box.refused(101, processes=2)
        await watch.look([one])
        assert box.told() == [(101, "limit", "numproc", 42)]

    play(box, scene)


def test_without_a_sign_one_looks_and_with_nobody_one_waits(box: Box) -> None:
    """Plain files give none."""

    async def scene(watch: _Watch) -> None:
        await watch.begin([])
        waiting = asyncio.ensure_future(watch.sign())
        await asyncio.sleep(0)
        assert not waiting.done()
        box.listener.wake.set()  # something was started
        await asyncio.wait_for(waiting, 10)
        assert not box.listener.wake.is_set()
        await watch.look([box.container(101)])
        await asyncio.wait_for(watch.sign(), 10)

    play(box, scene)


def test_sockets_give_no_sign(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they have limits one looks, though the kernel would tell of the others."""
    refused = {"numtcpsock": 0, "numothersock": 0}
    monkeypatch.setattr(Alarm, "watch", lambda alarm, cgroup: True)
    monkeypatch.setattr(socket_limits, "failures", lambda cgroup: dict(refused) if cgroup.ctid == 101 else {})

    async def scene(watch: _Watch) -> None:
        one, two = box.container(101), box.container(102)
        await watch.begin([one, two])
        await asyncio.wait_for(watch.sign(), 10)
        refused["numtcpsock"] = 5
        await watch.look([one, two])
        assert box.told() == [(101, "limit", "numtcpsock", 5)]
        await watch.look([two])
        waiting = asyncio.ensure_future(watch.sign())
        await asyncio.sleep(0)
        assert not waiting.done()
        box.listener.wake.set()  # somebody set a limit
        await asyncio.wait_for(waiting, 10)

    play(box, scene)


def test_listening_ends_with_hostd_and_leaves_nothing(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "PERIOD", 0.01)
    events = Events()
    registry = SimpleNamespace(events=events, known=list)

    async def run() -> None:
        one = Monitor(cast(Registry, registry))
        listening = asyncio.ensure_future(one.listen(frozenset((101,)), 0, box.heard.append))
        await asyncio.sleep(0)  # it has begun
        assert len(events._listeners) == 1
        events.tell(101, "start")
        events.tell(102, "start")
        one.leave()
        await asyncio.wait_for(listening, 10)

    asyncio.run(run())
    assert box.told() == [(101, "start", "", None)]
    assert events._listeners == []
