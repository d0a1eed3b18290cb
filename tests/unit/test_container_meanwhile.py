"""What was set while a container was suspended: what it comes back with, and what it gets of the rest."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import cast

import pytest

from hostd.cgroup.limits import Limits
from hostd.config import live
from hostd.config.model import CtConfig, GlobalConfig, effective
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf
from hostd.container import device_filter, device_nodes, devices, inner_limits, scratch
from hostd.container.container import Container
from hostd.container.devices import FUSE, Device
from hostd.container.inner_limits import Row
from hostd.container.ops import meanwhile
from hostd.container.ops.meanwhile import Settings
from hostd.container.record import Record
from hostd.container.run import Run
from hostd.container.world import World
from hostd.errors import Failure
from hostd.kernel.device_program import DeviceRule
from hostd.kernel.process import Process

PAGES, MORE = "0:256", "0:512"
MIB = 1 << 20


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has this device."""
    monkeypatch.setattr(devices, "_found", lambda name, access: {"fuse": FUSE}.get(name))


def meaning(texts: live.Texts) -> CtConfig:
    return effective(101, live.over(VeConf(), texts), GlobalConfig.from_conf(Paths("/nowhere"), VeConf()))


def settings(had: live.Texts, wanted: live.Texts, most: int = 0) -> Settings:
    """Of a checkpoint that tells all."""
    none = dict.fromkeys((*live.KEYS, *live.STARTED), "")
    return meanwhile.settings({**none, **had}, {**none, **wanted}, most, meaning)


@pytest.mark.parametrize(
    ("had", "wanted", "most", "first"),
    [
        ("60", "30", 50, 76),
        ("30", "60", 20, 76),
        ("", "30", 50, None),
        ("30", "", 50, None),
        ("unlimited", "30", 50, None),
        ("30", "30", 60, 76),  # lowered below what it had, while it ran
    ],
)
def test_processes_that_were_saved_are_made(had: str, wanted: str, most: int, first: int | None) -> None:
    """And CRIU beside them."""
    these = settings({"NUMPROC": had}, {"NUMPROC": wanted}, most)
    assert these.first.numproc == first and these.wanted.numproc == meaning({"NUMPROC": wanted}).numproc


def test_memory_that_was_saved_is_filled() -> None:
    these = settings({"PHYSPAGES": MORE, "SWAPPAGES": PAGES}, {"PHYSPAGES": PAGES, "SWAPPAGES": MORE})
    assert (these.first.ram, these.first.swap) == (2 * MIB, 2 * MIB)
    assert (these.wanted.ram, these.wanted.swap) == (MIB, 2 * MIB)
    assert settings({}, {"PHYSPAGES": PAGES}).first.ram is None


def test_what_is_inside_stays_until_it_lives() -> None:
    """What is open can be opened again; an address is another container's by now."""
    these = settings({"DEVNODES": "fuse:rw ", "NUMPTY": "9"}, {"NUMPTY": "5", "IP_ADDRESS": "192.0.2.1"})
    assert (devices.of(these.first), these.first.numpty) == ((FUSE,), 9)
    assert [str(one.ip) for one in these.first.addresses] == ["192.0.2.1"]


def test_an_older_checkpoint_says_nothing() -> None:
    wanted = {"NUMPROC": "30", "PHYSPAGES": PAGES, "DEVNODES": "fuse:rw "}
    these = meanwhile.settings({}, wanted, 0, lambda texts: meaning({**wanted, **texts}))
    for config in (these.had, these.wanted):
        assert (config.numproc, config.ram, devices.of(config)) == (30, MIB, (FUSE,))
    assert (these.first.numproc, these.first.ram, devices.of(these.first)) == (46, MIB, (FUSE,))


class Alive:
    """A container that has just come back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, had: live.Texts, wanted: live.Texts) -> None:
        self.said: list[str] = []
        self.did: list[object] = []
        self.these = settings(had, wanted)
        none = dict.fromkeys((*live.KEYS, *live.STARTED), "")
        self.record = Record(ctid=101, live={**none, **wanted})
        process = cast(Process, SimpleNamespace(alive=lambda: True))
        tree = SimpleNamespace(v1_roots=(), unified_root="")
        ct = Container(cast(World, SimpleNamespace(tree=tree)), 101, self.record, process)
        self.run = Run(ct, self.record, self.said.append, self.these.first)
        monkeypatch.setattr(device_filter, "protect", lambda cgroup, rules: self.did.append(rules))

    def noting(self, *words: str) -> Callable[..., Awaitable[None]]:
        async def note(ct: Container, *devices: object) -> None:
            self.did.append((*words, *devices))

        return note

    def runs(self) -> dict[str, str]:
        return {key: text for key, text in self.record.live.items() if text}


def test_memory_that_is_in_use_stays_and_the_rest_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    box = Alive(monkeypatch, {"PHYSPAGES": MORE, "NUMPROC": "60"}, {"PHYSPAGES": PAGES, "NUMPROC": "30"})

    def give(cgroup: object, wanted: Limits, now: Limits) -> dict[str, Failure]:
        box.did.append((now.ram, now.numproc, wanted.ram, wanted.numproc))
        return {"PHYSPAGES and SWAPPAGES": Failure(1, "400 are in use")}

    monkeypatch.setattr(meanwhile, "take_back_limits", give)
    asyncio.run(meanwhile.limit(box.run, box.these))
    assert box.did == [(2 * MIB, 76, MIB, 30)]
    assert box.said == [f'Warning: 400 are in use; it keeps PHYSPAGES="{MORE}"']
    assert box.runs() == {"PHYSPAGES": MORE, "NUMPROC": "30"}


def test_a_node_that_cannot_be_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """And those that were there are there again."""
    box = Alive(monkeypatch, {"DEVICES": "c:1:7:rw "}, {"DEVICES": "c:1:7:rw ", "DEVNODES": "fuse:rw "})

    async def fail(ct: Container, gone: list[Device], come: list[Device]) -> None:
        box.did.append(("exchange", gone, come))
        raise Failure(86, "something else has that name")

    monkeypatch.setattr(device_nodes, "exchange", fail)
    monkeypatch.setattr(device_nodes, "take_back", box.noting("back"))
    asyncio.run(meanwhile.give_devices(box.run, box.these))
    assert box.did == [("exchange", [], [FUSE]), ("back", [], [FUSE])], "what it may open is what it had"
    assert box.said == ['Warning: something else has that name; it keeps DEVNODES=""']
    assert box.runs() == {"DEVICES": "c:1:7:rw "}


def test_devices_that_can_be_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    box = Alive(monkeypatch, {"DEVNODES": "fuse:rw "}, {"DEVICES": "c:1:7:r "})
    monkeypatch.setattr(device_nodes, "exchange", box.noting())
    asyncio.run(meanwhile.give_devices(box.run, box.these))
    assert box.did == [([FUSE], []), (DeviceRule("c", 1, 7, "rm", True),)]
    assert box.said == [] and box.runs() == {"DEVICES": "c:1:7:r "}


def test_limits_inside_are_given_each_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    had = {"NUMPTY": "9", "NUMFILE": "300", "NUMSIGINFO": "90"}
    box = Alive(monkeypatch, had, {**had, "NUMPTY": "5", "NUMFILE": "200"})

    async def give(ct: Container, wanted: CtConfig, rows: tuple[Row, ...]) -> None:
        (row,) = rows
        if row.key == "NUMPTY":
            raise Failure(1, "something else is mounted there")
        box.did.append((row.key, row.of(wanted)))

    async def fit(ct: Container) -> None:
        box.did.append(("tmpfs", ct.ctid))

    monkeypatch.setattr(inner_limits, "apply", give)
    monkeypatch.setattr(scratch, "fit", fit)
    asyncio.run(meanwhile.limit_inside(box.run, box.these))
    assert box.did == [("NUMFILE", 200), ("tmpfs", 101)]
    assert box.said == ['Warning: something else is mounted there; it keeps NUMPTY="9"']
    assert box.runs() == {**had, "NUMFILE": "200"}
