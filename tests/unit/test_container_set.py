"""A change of a running container on fakes: that others are served meanwhile, and that all of it is taken back."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hostd.config.model import GlobalConfig, effective
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf
from hostd.container.container import Container
from hostd.container.ops import apply, keys, logins, password
from hostd.container.ops.apply import LiveChange, Undo
from hostd.container.record import Record
from hostd.container.world import World
from hostd.errors import Failure
from hostd.userdata.logins import Logins
from hostd.userdata.sshkeys import PublicKey


def test_others_are_served_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is set, and when it is taken back: moving a gigabyte to swap is no reason to keep others waiting."""
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


def test_limits_are_taken_back_when_a_login_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what runs is told as it was, for the next set."""
    paths = Paths(str(tmp_path))
    tree = SimpleNamespace(v1_roots=(), unified_root="")
    record = Record(ctid=101, live={"PHYSPAGES": ""})
    ct = Container(cast(World, SimpleNamespace(tree=tree, paths=paths)), 101, record)
    old = effective(101, VeConf(), GlobalConfig.from_conf(paths, VeConf()))
    change = LiveChange(old, replace(old, ram=1 << 20), (), (), {"PHYSPAGES": "0:256"}, Logins({"ann": "a"}))
    ram: list[int | None] = []
    monkeypatch.setattr(apply, "set_limits", lambda cgroup, limits, previous: ram.append(limits.ram))

    async def refuse(*_: object) -> None:
        assert ram == [1 << 20]
        raise Failure(74, "Password change failed")

    monkeypatch.setattr(password, "change", refuse)
    with pytest.raises(Failure, match="Password change failed"):
        asyncio.run(apply.apply(ct, change))
    assert ram == [1 << 20, None]
    assert record.live == {"PHYSPAGES": ""} and record.intent == ""


def test_keys_that_stay_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def add(*_: object) -> None:
        pass

    async def refuse(*_: object) -> None:
        raise Failure(74, "Password change failed: no space")

    monkeypatch.setattr(keys, "add", add)
    monkeypatch.setattr(password, "change", refuse)
    ct = Container(cast(World, SimpleNamespace()), 101)
    for added, text in (((PublicKey("k", "line"),), "Password change failed: no space; the keys were added"),
                       ((), "Password change failed: no space")):  # fmt: skip
        with pytest.raises(Failure) as raised:
            asyncio.run(logins.change(ct, Logins({"ann": "a"}, added)))
        assert raised.value.message == text
