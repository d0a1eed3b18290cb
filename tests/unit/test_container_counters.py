"""Counting what a container holds, whatever it does against that."""

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hostd.cgroup import stats
from hostd.cgroup.stats import Counter
from hostd.cgroup.tree import CtCgroup
from hostd.config.paths import Paths
from hostd.container import counters, socket_limits
from hostd.container.container import Container
from hostd.container.counters import Locks, Look
from hostd.container.maxima import Maxima
from hostd.container.record import Record
from hostd.kernel.process import Process

NAMES = frozenset(("numfile", "numflock", "numtcpsock"))


@pytest.fixture
def ct(monkeypatch: pytest.MonkeyPatch) -> Container:
    """A container of one process: this."""
    cgroup = SimpleNamespace(procs=lambda until: [os.getpid()], unified=lambda: None)
    monkeypatch.setattr(counters, "CtCgroup", lambda tree, ctid: cgroup)
    monkeypatch.setattr(stats, "counters", lambda cgroup, names: {"numproc": Counter(1)})
    world = SimpleNamespace(tree=None)
    process = Process.open(os.getpid())
    return cast(Container, SimpleNamespace(ctid=101, record=Record(ctid=101), process=process, world=world))


def known(ct: Container, locks: Locks) -> set[str]:
    return set(counters._counted(Look(ct, NAMES, lambda: locks)))


def test_what_is_there_is_counted(ct: Container) -> None:
    assert known(ct, {}) == NAMES | {"numproc"}


def test_what_is_refused_where_nobody_counts_is_not_said_to_be_none(ct: Container) -> None:
    """numpty is enforced by devpts, numflock by nobody."""
    rows = counters._counted(Look(ct, frozenset(("numpty", "numflock")), dict))
    assert (rows["numpty"].failcnt, rows["numflock"].failcnt) == (None, 0)


def test_more_locks_than_anybody_waits_for(ct: Container) -> None:
    assert known(ct, None) == {"numproc", "numfile", "numtcpsock"}


def test_processes_that_take_too_long_leave_the_rest_known(ct: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "PATIENCE", -1.0)
    assert known(ct, {}) == {"numproc", "numtcpsock"}


def test_so_many_cgroups_that_not_all_of_its_processes_are_found(
    ct: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Perhaps none: that is no count of zero."""
    monkeypatch.setattr(counters, "PATIENCE", 0.01)
    given: list[float] = []

    def procs(until: float) -> list[int]:
        given.append(until)
        time.sleep(0.02)
        return []

    look = Look(ct, NAMES, dict)
    look.cgroup = cast(CtCgroup, SimpleNamespace(procs=procs, unified=lambda: None))
    assert set(counters._counted(look)) == {"numproc", "numtcpsock"}
    assert len(given) == 1 and given[0] < time.monotonic()


@pytest.mark.parametrize(
    ("kernel_s", "held", "most"),
    [
        (15, 7, 12),  # seven came back, with CRIU beside them
        (15, 13, 13),
        (16, 7, 16),  # it has had more since
        (None, 7, 12),
    ],
)
def test_processes_of_criu_are_none_of_the_container_s(
    ct: Container, tmp_path: Path, kernel_s: int | None, held: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor when nobody else looks any more: what was seen is the container's."""
    record = ct.record
    assert record is not None
    record.peak, record.counted = 15, {"numproc": [12, 0]}
    object.__setattr__(ct.world, "paths", Paths(str(tmp_path)))
    ct.maxima = None
    found = {"numproc": Counter(held, kernel_s, 0), "physpages": Counter(3, 9, 0)}
    monkeypatch.setattr(stats, "counters", lambda cgroup, names: dict(found))
    for now in (held, 5):
        found["numproc"] = Counter(now, kernel_s, 0)
        look = Look(ct, frozenset(("numproc",)), dict)
        rows = counters._with_maxima(look, counters._counted(look))
        assert (rows["numproc"].held, rows["numproc"].maxheld) == (now, most)
        assert rows["physpages"].maxheld == 9


def test_a_second_checkpoint_forgets_nothing_of_the_time_before_the_first(
    ct: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {"numfile": [500, 0], "numpty": [3, 0], "numproc": [80, 7], stats.OOM_KILLS: [0, 2]}
    record = Record(ctid=101, counted=before)
    seen = SimpleNamespace(most={"numfile": 20, "numpty": 9}, serial=record.serial)
    monkeypatch.setattr(socket_limits, "failures", lambda cgroup: {"numtcpsock": 4})
    monkeypatch.setattr(stats, "kills", lambda cgroup: 1)
    ct.record, ct.maxima = record, cast(Maxima, seen)
    total = counters.totals(ct)
    monkeypatch.setattr(stats, "counters", lambda cgroup, names: {"numproc": Counter(5, 60, 3)})
    assert total() == {
        "numfile": [500, 0], "numpty": [9, 0], "numproc": [80, 10], "numtcpsock": [0, 4],
        stats.OOM_KILLS: [0, 3],
    }, "as it is when it is asked"  # fmt: skip
