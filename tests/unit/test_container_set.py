"""A change of limits that takes long: moving a gigabyte to swap is no reason to keep others waiting."""

import asyncio
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from hostd.config.model import GlobalConfig, effective
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf
from hostd.container.container import Container
from hostd.container.ops import apply
from hostd.container.ops.apply import LiveChange, Undo
from hostd.container.record import Record
from hostd.container.world import World


def test_others_are_served_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is set, and when it is taken back."""
    served = threading.Event()

    def slowly(*_: object) -> None:
        assert served.wait(10), "nobody else was served"

    monkeypatch.setattr(apply, "set_limits", slowly)
    tree = SimpleNamespace(v1_roots=(), unified_root="")
    ct = Container(cast(World, SimpleNamespace(tree=tree)), 101, Record(ctid=101))
    old = effective(101, VeConf(), GlobalConfig.from_conf(Paths("/nowhere"), VeConf()))
    change = LiveChange(old, replace(old, ram=1 << 20), (), ())

    async def change_and_back() -> None:
        undos: list[Undo] = []
        asyncio.get_running_loop().call_later(0.01, served.set)
        await apply._limits(ct, change, undos)
        served.clear()
        asyncio.get_running_loop().call_later(0.01, served.set)
        await undos[0]()

    asyncio.run(change_and_back())
