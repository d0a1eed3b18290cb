"""What a new daemon finds, without a machine: records, a keeper and the calls it makes of the operations, all fakes."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hostd.config.paths import Paths
from hostd.container.container import Container, Ended
from hostd.container.ops import apply, start
from hostd.container.record import Record
from hostd.container.report import Report
from hostd.container.world import World
from hostd.daemon import recover
from hostd.daemon.keeper_link import ChildExit, KeeperLink, KeptChild
from hostd.daemon.registry import Registry
from hostd.errors import BadConfig
from hostd.kernel.fd import Fd
from hostd.kernel.process import Process
from hostd.net import venet


class FakeKeeper:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.children: dict[str, KeptChild] = {}
        self.exits: dict[str, ChildExit] = {}
        self.held: dict[str, Fd] = {}
        self.adopted: list[str] = []
        self.forgotten: list[str] = []

    def child(self, name: str, process: Process) -> None:
        self.adopted.append(name)

    def forget(self, name: str) -> None:
        self.forgotten.append(name)


class Machine:
    """An installation below a directory of its own, and the calls that recovery made of the operations."""

    def __init__(self, prefix: Path) -> None:
        self.paths = Paths(str(prefix))
        recover.lay_out(self.paths)
        os.makedirs(self.paths.lock_dir, exist_ok=True)
        self.keeper = FakeKeeper()
        self.cgroups: list[int] = []
        self.calls: list[tuple[str, int]] = []
        self.broken: set[int] = set()
        world = SimpleNamespace(
            paths=self.paths,
            keeper=self.keeper,
            tree=SimpleNamespace(
                ctids=lambda: self.cgroups, v1_roots=(), unified_root="/nowhere", root_of=lambda controller: None
            ),
            load_config=self.no_config,
            held=self.keeper.held,
        )
        self.registry = Registry(cast(World, world))

    def no_config(self, ctid: int) -> None:
        raise BadConfig(f"CT {ctid} has no configuration")

    def note(self, what: str, ct: Container) -> None:
        self.calls.append((what, ct.ctid))
        if ct.ctid in self.broken:
            raise RuntimeError("broken")

    def recover(self) -> list[tuple[str, int]]:
        """Run the recovery of a new daemon; what it did, in order."""

        async def run() -> None:
            recover.load(self.registry)
            await recover.recover(self.registry, cast(KeeperLink, self.keeper))
            await self.registry.settle()

        asyncio.run(run())
        return self.calls


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)

    async def release(ct: Container, report: Report) -> None:
        made.note("release", ct)
        assert ct.record is not None
        ct.record.remove(made.paths)
        ct.buried()

    async def settle(ct: Container, config: object) -> None:
        made.note("revert", ct)

    async def reconnect(registry: Registry, ct: Container, record: Record) -> None:
        made.note("reconnect", ct)

    async def start_again(self: Registry, ct: Container) -> None:
        made.note("start again", ct)

    async def aftermath(self: Registry, ct: Container, end: Ended) -> None:
        made.note(f"aftermath {end.how}", ct)

    async def no_sweep() -> None:
        pass

    monkeypatch.setattr(start, "release", release)
    monkeypatch.setattr(apply, "settle", settle)
    monkeypatch.setattr(recover, "_reconnect", reconnect)
    monkeypatch.setattr(Registry, "start_again", start_again)
    monkeypatch.setattr(Registry, "aftermath", aftermath)
    monkeypatch.setattr(venet, "sweep", no_sweep)
    return made


@pytest.fixture
def init() -> Iterator[Process]:
    """A process that plays PID 1."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process = Process.open(child.pid)
    yield process
    process.close()
    child.communicate(b"\n")


def record_of(ctid: int, intent: str, process: Process | None = None) -> Record:
    record = Record(ctid=ctid, intent=intent, serial=ctid)
    if process is not None:
        record.pid, record.identity = process.pid, process.identity
    return record
