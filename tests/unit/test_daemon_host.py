"""The machine as the commands have it: what it notes of a container, and what it waits for."""

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hostd.command.host import Change, CreateOptions
from hostd.config import live, skeleton
from hostd.config.cache import ConfCache
from hostd.config.model import CtConfig, effective
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf
from hostd.container.container import Container, Ended
from hostd.container.ops import apply, create, start, stop
from hostd.container.ops.apply import LiveChange
from hostd.container.record import Record
from hostd.container.world import World
from hostd.daemon import host
from hostd.daemon.host import Host
from hostd.daemon.monitor import Monitor
from hostd.daemon.registry import Registry
from hostd.errors import VzError
from hostd.kernel.process import Process


class Box:
    """A machine with CT 101, which runs."""

    def __init__(self, directory: Path) -> None:
        self.paths = Paths(str(directory))
        skeleton.install(self.paths)
        self.confs = ConfCache(self.paths)
        world = SimpleNamespace(paths=self.paths, load_config=self.confs.ct, require=lambda config: None)
        self.registry = Registry(cast(World, world))
        self.host = Host(self.registry, self.paths, self.confs, cast(Monitor, None))
        VeConf.parse("").save(self.paths.ct_conf(101))
        self.ct: Container = self.registry[101]
        self.ct.record = Record(ctid=101)
        self.ct.process = cast(Process, SimpleNamespace(alive=lambda: True))

    def config(self, text: str) -> CtConfig:
        return effective(101, VeConf.parse(text), self.confs.globals())


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_only_what_runs_is_noted_as_running(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """`set --onboot no` without --save changes nothing, and vzlist goes on to tell what the file says."""
    noted: list[Mapping[str, str]] = []

    async def take(ct: Container, change: LiveChange, report: object) -> None:
        noted.append(change.texts)

    monkeypatch.setattr(apply, "apply", take)
    after = box.config('ONBOOT="no"\nFEATURES="tun:on"\nCPUUNITS="9"\n')
    keys = frozenset(("ONBOOT", "FEATURES", "CPUUNITS", "KMEMSIZE"))
    asyncio.run(box.host.apply(101, Change(box.config(""), after, keys, (), ()), lambda line: None))
    assert noted == [{"CPUUNITS": "9"}] and "CPUUNITS" in live.KEYS


@pytest.mark.parametrize("how", ["reboot", "halt"])
def test_what_has_ended_by_itself_is_waited_for(box: Box, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """And then it is up with what the file said before, or down."""
    alive, box.ct.process = box.ct.process, None

    async def scene() -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def take_time(ct: Container, *_: object, **__: object) -> None:
            begun.set()
            await go_on.wait()
            ct.process, ct.record = (alive, Record(ctid=101)) if how == "reboot" else (None, None)

        monkeypatch.setattr(start, "again", take_time)
        monkeypatch.setattr(stop, "leave", take_time)
        ending = asyncio.ensure_future(box.registry.aftermath(box.ct, Ended(how)))
        await begun.wait()
        waiting = asyncio.ensure_future(box.host.settled(101))
        await asyncio.wait((waiting,), timeout=0.05)
        assert not waiting.done() and not box.host.facts(101).running
        go_on.set()
        await waiting
        assert box.host.facts(101).running == (how == "reboot")
        await ending

    asyncio.run(scene())


def test_uptime_goes_on_over_a_checkpoint(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """As inside; what is counted anew is told by the serial."""
    assert box.ct.record is not None
    box.ct.record.began(-7 * 10**9)
    monkeypatch.setattr(time, "clock_gettime", lambda clock: 10.0)
    facts = box.host.facts(101)
    assert (facts.uptime, facts.serial) == (17.0, box.ct.record.serial)
    box.ct.process = None
    facts = box.host.facts(101)
    assert (facts.uptime, facts.serial) == (None, None)


def test_nobody_else_is_waited_for(box: Box) -> None:
    async def scene() -> None:
        await box.host.settled(102)
        async with box.ct.acting("start"):
            await asyncio.wait_for(box.host.settled(101), 10)

    asyncio.run(scene())


def test_what_is_mounted_is_so_without_a_file(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """`exist` is for one that has both its file and its private area."""
    box.ct.record = Record(ctid=101, private=str(box.paths.prefix), root="/mounted")
    monkeypatch.setattr(host, "is_mounted", lambda path: path == "/mounted")
    seen = [box.host.facts(101)]
    os.remove(box.paths.ct_conf(101))
    seen.append(box.host.facts(101))
    assert [(one.exists, one.mounted, one.running) for one in seen] == [(True, True, True), (False, True, True)]


@pytest.mark.parametrize("state", ["running", "mounted", "down", "a file alone"])
def test_no_create_over_a_container(box: Box, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    """Another private area makes no other container of a number: a mistyped one must not take this one's place."""
    old = box.host.paths.below("/old/101")
    os.makedirs(f"{old}/etc" if state != "a file alone" else old)
    VeConf.parse(f'VE_PRIVATE="{old}"\n').save(box.paths.ct_conf(101))
    made: list[CtConfig] = []

    async def make(ct: Container, config: CtConfig, *_: object) -> None:
        made.append(config)

    monkeypatch.setattr(create, "create", make)
    monkeypatch.setattr(create, "is_mounted", lambda path: state == "mounted")
    if state != "running":
        box.ct.process = box.ct.record = None
    config = box.config('VE_PRIVATE="/elsewhere/101"\n')
    wanted = box.host.create(101, CreateOptions(config.raw, config, None), lambda line: None)
    if state == "a file alone":
        asyncio.run(wanted)
        assert made == [config]
        return
    with pytest.raises(VzError) as raised:
        asyncio.run(wanted)
    assert raised.value.exit_code == {"running": 32, "mounted": 41, "down": 44}[state] and made == []
    if state == "down":
        assert raised.value.message == f"Private area already exists in {old}"
