"""Calendar events: the next moment, against dates that were worked out by hand."""

import time
from calendar import timegm

import pytest

from vzinit.calendar import Calendar

START = "2026-11-28 14:30:10"  # a Saturday


def moment(text: str) -> float:
    return time.mktime(time.strptime(text, "%Y-%m-%d %H:%M:%S"))


@pytest.mark.parametrize(
    ("event", "following"),
    [
        ("daily", "2026-11-29 00:00:00"),
        ("hourly", "2026-11-28 15:00:00"),
        ("minutely", "2026-11-28 14:31:00"),
        ("weekly", "2026-11-30 00:00:00"),
        ("monthly", "2026-12-01 00:00:00"),
        ("yearly", "2027-01-01 00:00:00"),
        ("quarterly", "2027-01-01 00:00:00"),
        ("*-*-* 6,18:00", "2026-11-28 18:00:00"),  # apt-daily.timer
        ("*-*-* 6:00", "2026-11-29 06:00:00"),
        ("Sun *-*-* 03:10:00", "2026-11-29 03:10:00"),  # e2scrub_all.timer
        ("Mon *-*-* 00:00:00", "2026-11-30 00:00:00"),
        ("*-*-* *:09,39:00", "2026-11-28 14:39:00"),  # phpsessionclean.timer
        ("*:0/15", "2026-11-28 14:45:00"),
        ("14:30:10", "2026-11-29 14:30:10"),
        ("14:30:11", "2026-11-28 14:30:11"),
        ("Mon..Fri 08:00", "2026-11-30 08:00:00"),
        ("Sat,Sun 14:00", "2026-11-29 14:00:00"),
        ("Fri..Mon 15:00", "2026-11-28 15:00:00"),
        ("*-02-29", "2028-02-29 00:00:00"),
        ("Mon *-*-1..7", "2026-12-07 00:00:00"),
        ("2027-03-04 05:06:07", "2027-03-04 05:06:07"),
        ("12-24", "2026-12-24 00:00:00"),
        ("*-*-* 00/6:30", "2026-11-28 18:30:00"),
    ],
)
def test_the_next_event(event: str, following: str) -> None:
    assert Calendar(event).after(moment(START)) == moment(following)


@pytest.mark.parametrize(
    ("event", "following"),
    [
        ("*-*-* 06:00:00 UTC", (2026, 11, 29, 6, 0, 0)),
        ("2028-02-29 12:00 UTC", (2028, 2, 29, 12, 0, 0)),
        ("*-03-01 UTC", (2027, 3, 1, 0, 0, 0)),
        ("*-12-31 23:59:59 UTC", (2026, 12, 31, 23, 59, 59)),
    ],
)
def test_utc(event: str, following: tuple[int, ...]) -> None:
    assert Calendar(event).after(timegm((2026, 11, 28, 14, 30, 10))) == timegm(following)


def test_no_day_is_lost_when_the_clocks_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        found = Calendar("23:30").after(moment("2026-03-28 23:30:00"))
        assert found == moment("2026-03-29 23:30:00")
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("event", ["2001-01-01", "*-02-30"])
def test_never_again(event: str) -> None:
    assert Calendar(event).after(moment(START)) is None


@pytest.mark.parametrize("event", ["", "soon", "25:00", "Xyz *-*-*", "1 2 3", "*-13-01", "a:b"])
def test_what_is_no_event(event: str) -> None:
    if event == "":
        assert Calendar(event).after(moment(START)) == moment("2026-11-29 00:00:00")
        return
    with pytest.raises(ValueError):
        Calendar(event)
