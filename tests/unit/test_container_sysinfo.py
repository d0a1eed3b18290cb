"""When the program behind sysinfo(2) begins: with the first container, and again for another directory of them."""

import asyncio
import errno
import logging
import os
from pathlib import Path
from typing import cast

import pytest

from hostd.cgroup.tree import CgroupTree
from hostd.container.sysinfo import LINK, Sysinfo
from hostd.container.world import Keeper
from hostd.kernel import sysinfo_program
from hostd.kernel.fd import Fd
from hostd.log import log


class FakeKeeper:
    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def hold(self, name: str, fd: Fd) -> None:
        assert fd.fileno() >= 0
        self.told.append(("hold", name))

    def forget(self, name: str) -> None:
        self.told.append(("forget", name))


class FakeTree:
    """*directory* is that of all containers in the hierarchy with the memory controller."""

    mode = "v2"

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory

    def root_of(self, controller: str) -> str | None:
        assert controller == "memory"
        return str(self.directory) if self.directory else None


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    calls: list[tuple[int, bool]] = []

    def start(root: int, *, swap_alone: bool) -> Fd:
        calls.append((root, swap_alone))
        return Fd(os.open("/dev/null", os.O_RDONLY))

    monkeypatch.setattr(sysinfo_program, "start", start)
    return calls


def begin(tree: FakeTree, keeper: FakeKeeper, *, offered: bool = True) -> Sysinfo:
    one = Sysinfo(cast(CgroupTree, tree), cast(Keeper, keeper), {}, offered=offered)
    asyncio.run(one.begin())
    return one


def test_one_program_for_all(tmp_path: Path, started: list[tuple[int, bool]]) -> None:
    keeper = FakeKeeper()
    one = begin(FakeTree(tmp_path), keeper)
    asyncio.run(one.begin())
    assert started == [(tmp_path.stat().st_ino, True)] and keeper.told == [("hold", LINK)]
    one.leave()
    assert keeper.told[1:] == [("forget", LINK)]
    asyncio.run(one.begin())
    assert len(started) == 2


def test_that_of_an_earlier_daemon_runs_until_ours_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = Fd(os.open("/dev/null", os.O_RDONLY))
    number, held = earlier.fileno(), {LINK: earlier}

    def start(root: int, *, swap_alone: bool) -> Fd:
        assert os.path.exists(f"/proc/self/fd/{number}")
        return Fd(os.open("/dev/zero", os.O_RDONLY))

    monkeypatch.setattr(sysinfo_program, "start", start)
    one = Sysinfo(cast(CgroupTree, FakeTree(tmp_path)), cast(Keeper, FakeKeeper()), held, offered=True)
    assert held == {}, "it is not for others to close"
    asyncio.run(one.begin())
    with pytest.raises(ValueError, match="closed"):
        earlier.fileno()


def test_another_directory_of_containers(tmp_path: Path, started: list[tuple[int, bool]]) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    tree, keeper = FakeTree(tmp_path / "one"), FakeKeeper()
    one = begin(tree, keeper)
    tree.directory = tmp_path / "two"
    asyncio.run(one.begin())
    assert [root for root, _ in started] == [(tmp_path / name).stat().st_ino for name in ("one", "two")]


def test_where_there_can_be_none(tmp_path: Path, started: list[tuple[int, bool]]) -> None:
    begin(FakeTree(tmp_path), FakeKeeper(), offered=False)
    begin(FakeTree(None), FakeKeeper())
    assert started == []


def test_a_refusal_keeps_no_container_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(root: int, *, swap_alone: bool) -> Fd:
        raise OSError(errno.EPERM, "bpf load: Operation not permitted", "vz_sysinfo")

    monkeypatch.setattr(sysinfo_program, "start", refuse)
    monkeypatch.setattr(log, "propagate", True)
    keeper = FakeKeeper()
    with caplog.at_level(logging.ERROR):
        begin(FakeTree(tmp_path), keeper)
    assert keeper.told == [] and "the host's memory" in caplog.text
