"""Load averages of a container whose cgroup v2 is files."""

import asyncio
import errno
import os
import time
from math import exp
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hostd.cgroup.hierarchies import Hierarchy
from hostd.cgroup.tree import CgroupTree
from hostd.container.container import Container
from hostd.container.record import Record
from hostd.container.world import World
from hostd.daemon import loads


class Box:
    """Container 101, and a clock that stands still."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cgroup = directory / "vz/101"
        self.cgroup.mkdir(parents=True)
        (directory / "vz/cgroup.subtree_control").write_text("memory pids\n")
        tree = CgroupTree("vz", (Hierarchy(str(directory), frozenset(), unified=True),))
        self.ct = Container(cast(World, SimpleNamespace(tree=tree)), 101, record=Record(ctid=101, serial=1000 * 10**9))
        self.now = 1000.0
        monkeypatch.setattr(time, "clock_gettime_ns", lambda clock: int(self.now * 1e9))

    def seen(self, seconds: float, busy: float, waited: float = 0) -> tuple[float, float, float] | None:
        """That long after the start, with so much done since then."""
        self.now = 1000.0 + seconds
        (self.cgroup / "cpu.stat").write_text(f"usage_usec {busy * 1e6:.0f}\n")
        (self.cgroup / "cpu.pressure").write_text(
            f"some avg10=0.00 avg60=0.00 avg300=0.00 total={waited * 1e6:.0f}\n"
        )
        return loads.averages(self.ct)


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    return Box(tmp_path, monkeypatch)


def test_who_keeps_two_processors_busy_and_waits_has_more_than_two(box: Box) -> None:
    for minute in range(1, 61):
        found = box.seen(60 * minute, busy=120 * minute, waited=30 * minute)
    assert found == pytest.approx((2.5, 2.5, 2.5), abs=0.05)
    idle = box.seen(3660, busy=7200, waited=1800)
    assert idle is not None and idle[0] < 1 < idle[1] < idle[2] < 2.5


def test_a_new_start_begins_with_nothing(box: Box) -> None:
    box.seen(600, busy=1200)
    assert box.seen(15, busy=0) == (0, 0, 0)


def test_a_restore_begins_with_nothing(box: Box) -> None:
    """Its uptime goes on, its work is counted anew."""
    assert box.ct.record is not None
    box.ct.record.began(-10000 * 10**9)
    found = box.seen(15, busy=30)
    assert found is not None and found[0] == pytest.approx(2 * (1 - exp(-15 / 60)))


def test_what_is_not_counted_is_not_known(box: Box) -> None:
    assert loads.averages(box.ct) is None
    box.seen(15, busy=0)
    box.ct.record = None
    assert loads.averages(box.ct) is None


def test_somebody_looks_all_the_time(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Container] = []

    async def some() -> None:
        enough = asyncio.Event()

        def look(ct: Container) -> None:
            looks.append(ct)
            if len(looks) == 1:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            if len(looks) == 3:
                enough.set()

        monkeypatch.setattr(loads, "PERIOD", 0)
        monkeypatch.setattr(loads, "averages", look)
        watching = asyncio.ensure_future(loads.watch(lambda: [box.ct]))
        await asyncio.wait_for(enough.wait(), 60)
        watching.cancel()

    asyncio.run(some())
    assert looks[:3] == [box.ct] * 3
