"""When timers are due: from files, stamps and states, by a clock that the test turns."""

import os
import time
from pathlib import Path

import pytest

from vzinit import on_off, service, timers, unitfile
from vzinit.pid_one import FIELDS, State
from vzinit.unitfile import Unit

BOOT = 1_000_000.0
HOUR = 3600.0


class Clock:
    def __init__(self) -> None:
        self.now = BOOT

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A container that has just booted, with nothing but what is in *tmp_path*."""
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    monkeypatch.setattr(on_off, "PLACE", f"{tmp_path}/on")
    monkeypatch.setattr(timers, "BOOT", f"{tmp_path}/boot")
    monkeypatch.setattr(timers, "ON_DISK", f"{tmp_path}/disk/stamp-")
    monkeypatch.setattr(timers, "IN_MEMORY", f"{tmp_path}/memory/")
    at(f"{tmp_path}/boot", BOOT)
    return clock


def at(path: str, moment: float) -> None:
    """The file *path* is of that moment."""
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).touch()
    os.utime(path, (moment, moment))


def timer(text: str, state: State | None = None) -> timers.Timer:
    unit = Unit("x.timer")
    unitfile.parse(f"[Timer]\n{text}\n", unit.values)
    return timers.Timer(unit, lambda name: state if name == "x.service" else None)


def started_by_hand(moment: float) -> None:
    at(f"{on_off.PLACE}/x.timer.on", moment)


def state(up: float = 0.0, down: float = 0.0, now: int = service.STOPPED) -> State:
    """The service began and ended then, seconds after the boot."""
    values = dict.fromkeys(FIELDS, 0)
    moments = {"main_since": up, "down_since": down}
    told = {key: int((BOOT + value) * 1e6) for key, value in moments.items() if value}
    return State(tuple({**values, **told, "state": now}.values()))


def test_on_active_counts_from_the_start_of_the_timer(clock: Clock) -> None:
    one = timer("OnActiveSec=60")
    assert one.next() == BOOT + 60
    clock.now = BOOT + HOUR
    started_by_hand(clock.now)
    assert one.next() == BOOT + HOUR + 60


def test_each_span_goes_off_once(clock: Clock) -> None:
    one = timer("OnActiveSec=10\nOnBootSec=1h")
    clock.now = BOOT + 10.2
    one.go_off()
    assert one.next() == BOOT + HOUR
    clock.now = BOOT + HOUR + 0.2
    one.go_off()
    assert one.next() == timers.FOREVER


def test_a_new_start_of_the_timer_counts_anew(clock: Clock) -> None:
    """What counts from the boot is in the past then, and due at once, as the manual of systemd has it."""
    one = timer("OnBootSec=10")
    clock.now = BOOT + 10.2
    one.go_off()
    clock.now = BOOT + HOUR
    started_by_hand(clock.now)
    assert one.next() == BOOT + 10


def test_it_counts_from_whoever_started_the_unit(clock: Clock) -> None:
    clock.now = BOOT + HOUR
    assert timer("OnUnitActiveSec=60").next() == timers.FOREVER
    assert timer("OnUnitActiveSec=60", state(up=5)).next() == BOOT + 65
    one = timer("OnUnitActiveSec=60", state(up=5, down=6))
    one.go_off()
    assert one.next() == BOOT + HOUR + 60


def test_it_counts_from_the_end_of_the_unit(clock: Clock) -> None:
    clock.now = BOOT + HOUR
    assert timer("OnUnitInactiveSec=60", state(up=5, down=50)).next() == BOOT + 110
    running = timer("OnUnitInactiveSec=60", state(up=5, down=50, now=service.ACTIVE))
    assert running.next() == BOOT + HOUR + 60, "not due before it has ended"


@pytest.mark.parametrize(("persistent", "found"), [("yes", 12), ("no", 36)])
def test_what_was_missed_before_the_timer_was_started(clock: Clock, persistent: str, found: int) -> None:
    """Its stamp is of yesterday: only with Persistent= that matters."""
    one = timer(f"OnCalendar=*-*-* 00,12:00:00 UTC\nPersistent={persistent}")
    midnight = BOOT - BOOT % 86400
    clock.now = midnight + 25 * HOUR
    at(one.stamp, midnight + 1 * HOUR)
    started_by_hand(clock.now)
    assert one.next() == midnight + found * HOUR


def test_a_persistent_timer_that_was_never_there_misses_nothing(clock: Clock) -> None:
    one = timer("OnCalendar=*-*-* *:00:00 UTC\nOnBootSec=1\nPersistent=yes")
    clock.now = BOOT + 5
    assert one.next() == BOOT + 1, "the stamp that is made now is no time at which it went off"
    assert one.last() == BOOT
    one.go_off()
    assert one.next() == BOOT - BOOT % HOUR + HOUR


def test_a_stamp_of_the_future_is_none(clock: Clock) -> None:
    one = timer("OnCalendar=*-*-* *:00:00 UTC\nPersistent=yes")
    at(one.stamp, BOOT + 1000 * HOUR)
    assert one.next() == BOOT - BOOT % HOUR + HOUR


def test_the_random_delay_is_for_spans_too(clock: Clock) -> None:
    moment = timer("OnBootSec=60\nRandomizedDelaySec=10").next()
    assert BOOT + 60 < moment < BOOT + 70
