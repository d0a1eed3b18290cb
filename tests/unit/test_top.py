"""vztop without a machine: from what vzlist prints to rows, their order and their look."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hostd.command.activity import BY_NAME
from hostd.watch import sample, view
from hostd.watch.rates import Row, rows
from hostd.watch.sample import FIELDS, Container, Sample

MIB = 1 << 20
NOTHING: dict[str, float | None] = {"cpu": None, "memory": None, "io": None}
NONE = {"numproc": 0, "physpages": 0, "swappages": 0, "numtcpsock": 0, "numothersock": 0}
WEB = Container(
    101, "web", "running", 90061.0, 5, 7, 64 * MIB, 256 * MIB, 0, None, NONE, 10.0, 0, 4096, 100, 200,
    NOTHING | {"io": 12.5},
)
DOWN = Container(102, "", "stopped", 0.0, 0, 0, 0, None, 0, None, NONE, None, None, None, None, None, NOTHING)


def later(one: Container, **changes: object) -> Container:
    return one._replace(uptime=one.uptime + 2, **changes)  # type: ignore[arg-type]


def shown(found: list[Row], width: int = 200, key: str = "c") -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(view.table(found, view.BY_KEY[key], None, width))
    return capture.get().splitlines()


def test_every_field_is_one_of_vzlist() -> None:
    assert set(FIELDS) <= set(BY_NAME)


def test_what_vzlist_prints_is_understood() -> None:
    def counter(held: int, limit: int, failcnt: int) -> dict[str, int]:
        return {"held": held, "maxheld": held, "barrier": 0, "limit": limit, "failcnt": failcnt}

    one = dict.fromkeys(FIELDS, None) | {"ctid": 101, "name": "web", "status": "running", "uptime": 90061.0}
    one |= {"numproc": counter(7, 2**63 - 1, 1), "physpages": counter(16384, 65536, 2), "swappages": counter(0, 0, 0)}
    one |= {"numtcpsock": counter(3, 50, 9)}
    one |= {"serial": 5, "cputime": 10.0, "ioread": 0, "iowritten": 4096, "netin": 100, "netout": 200, "iopsi": 12.5}
    failures = {**NONE, "numproc": 1, "physpages": 2, "numtcpsock": 9, "numothersock": None}
    assert sample.read(json.dumps([one]).encode()) == (WEB._replace(failures=failures),)
    for no_limit in (0, 2**31 - 1, 2**63 - 1):
        one["physpages"] = one["swappages"] = counter(16384, no_limit, 0)
        (read,) = sample.read(json.dumps([one]).encode())
        assert read.ram is None and read.swap_limit is None
    one["swappages"] = counter(1024, 8192, 0)
    (read,) = sample.read(json.dumps([one]).encode())
    assert (read.swap, read.swap_limit) == (4 * MIB, 32 * MIB)


def test_rates() -> None:
    then = Sample(50.0, (WEB, DOWN))
    web = later(WEB, cpu=11.0, read=2048, written=4096, came=300, went=200, failures=NONE | {"numproc": 3})
    now = Sample(52.0, (web, DOWN))
    up, down = rows(then, now)
    assert (up.cpu, up.read, up.written, up.came, up.went) == (50.0, 1024.0, 0.0, 100.0, 0.0)
    assert (up.io, up.net, up.pressure, up.failed) == (1024.0, 100.0, 12.5, 3)
    assert (down.cpu, down.io, down.pressure, down.failed) == (None, None, None, 0)


def test_without_an_earlier_look_there_are_no_rates() -> None:
    """Nor after a restart or a restore, when counters begin anew; a restore leaves the uptime going on."""
    again = later(WEB, serial=6, cpu=0.1)
    for then in (None, Sample(50.0, (DOWN,)), Sample(50.0, (WEB,))):
        (row,) = rows(then, Sample(52.0, (again,)))
        assert (row.cpu, row.read, row.net, row.failed) == (None, None, None, 0)


def test_the_table() -> None:
    then = Sample(50.0, (WEB, DOWN))
    heading, web, down = shown(rows(then, Sample(52.0, (later(WEB, cpu=11.0, read=3 << 20), DOWN))))
    assert heading.split() == [word for column in view.COLUMNS for word in column.title.split()]
    assert " ".join(web.split()) == "101 web running 50.0 64M/256M 0 1.5M 0 0 0 7 12.5 0 1d01h"
    assert down.split() == ["102", "-", "stopped", *"---------"]


def test_swap_is_shown_with_its_limit() -> None:
    """As memory is; of one that is down it is nothing to know."""
    one = WEB._replace(swap=4 * MIB, swap_limit=32 * MIB)
    texts = [
        view.BY_KEY["w"].text(row) for row in rows(None, Sample(52.0, (one, WEB, one._replace(status="stopped"))))
    ]
    assert texts == ["4.0M/32M", "0", "-"]


@pytest.mark.parametrize("width", [50, 80, 100, 200])
@pytest.mark.parametrize("name", ["web", "h" * 250, "\u4e2d" * 60], ids=["short", "long", "wide"])
def test_no_figure_is_cut_whatever_the_width(width: int, name: str) -> None:
    """A long name is, and columns are left out."""
    found = [Row(WEB._replace(name=one), 100.0, 5e6, 3e6, 4e5, 3e5, 12.0, 0) for one in ("a", name)]
    heading, first, second = shown(found, width)
    titles = heading.split()
    assert titles[:2] == ["CTID", "NAME"] and {"CPU%", "MEMORY"} <= set(titles)
    figures = first.split()[2:]
    assert "\u2026" not in heading + first and second.split()[-len(figures) :] == figures
    assert {"100.0", "64M/256M"} <= set(first.split()) and first.split()[0] == "101"
    assert width < 200 or len(titles) == len(" ".join(column.title for column in view.COLUMNS).split())


def test_what_is_sorted_by_is_always_shown() -> None:
    assert "UP" in shown([Row(WEB, 100.0, 0, 0, 0, 0, 0.0, 0)], 50, "u")[0].split()


@pytest.mark.parametrize(
    ("name", "seen"),
    [("[/]", "[/]"), ("[red]x", "[red]x"), (":smile:", ":smile:"), ("\x1b[2J\n\x9b", "?[2J??"), ("\udcff", "?")],
)
def test_a_name_is_shown_as_it_is(name: str, seen: str) -> None:
    _, web = shown([Row(WEB._replace(name=name), 1.0, 0, 0, 0, 0, 0.0, 0)])
    assert web.split()[:3] == ["101", seen, "running"]


def test_order() -> None:
    def busy(ctid: int, cpu: float | None) -> Row:
        return Row(WEB._replace(ctid=ctid), cpu, None, None, None, None, None, 0)

    found = [busy(101, 5), busy(102, None), busy(103, 50), busy(104, 5)]

    def numbers(key: str, *, reverse: bool = False) -> list[int]:
        return [row.container.ctid for row in view.ordered(found, view.BY_KEY[key], reverse=reverse)]

    assert numbers("c") == [103, 101, 104, 102]
    assert numbers("c", reverse=True) == [101, 104, 103, 102]
    assert numbers("t") == [101, 102, 103, 104] and numbers("t", reverse=True) == [104, 103, 102, 101]


@pytest.mark.parametrize(
    ("bytes", "text"),
    [(None, "-"), (0, "0"), (999, "999"), (1000, "1.0K"), (10 * 1024, "10K"), (1536 * 1024, "1.5M"), (5e15, "4.4P")],
)
def test_sizes(bytes: float | None, text: str) -> None:
    assert view.size(bytes) == text


@given(st.floats(0, 1e18))
def test_a_size_is_short(value: float) -> None:
    assert len(view.size(value)) <= 5


def test_ages() -> None:
    assert [view.age(seconds) for seconds in (0, 61, 3660, 90061)] == ["0m00s", "1m01s", "1h01m", "1d01h"]


def test_what_is_refused_is_seen() -> None:
    row = Row(WEB, 1.0, 0, 0, 0, 0, 0.0, 0)
    styles = [view._style(one, chosen) for one, chosen in (
        (row, False), (row, True), (row._replace(failed=2), False), (row._replace(pressure=10.0), False),
        (row._replace(container=DOWN), True),
    )]  # fmt: skip
    assert styles == ["", "reverse", "red", "yellow", "reverse dim"]
