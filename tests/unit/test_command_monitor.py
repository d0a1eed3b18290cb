"""vzctl monitor: which containers, what is printed, and what is lost."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hostd.command.host import Event
from hostd.daemon import events
from hostd.daemon.events import Events, Listener
from hostd.errors import Exit
from tests.harness.fake_host import Fake

START = {"time": "2026-11-28T21:00:00.000+0000", "ctid": 101, "event": "start"}


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    fake = Fake(str(tmp_path))
    fake.ct(101)
    fake.host.events = [START, {**START, "event": "limit", "which": "numproc", "failcnt": 3}]
    return fake


def test_events_are_lines(fake: Fake) -> None:
    said = fake.ctl("monitor")
    assert [json.loads(line) for line in said.stdout.splitlines()] == fake.host.events
    assert (said.code, said.stderr) == (
        Exit.SYSTEM,
        "hostd ends, and what happens next is told by the one after it\n",
    )
    assert fake.host.calls == [("listen", set(), 0)]


def test_whose_and_how_often(fake: Fake) -> None:
    fake.ctl("monitor", "101", "--pressure", "2.5", "102")
    assert fake.host.calls == [("listen", {101, 102}, 2.5)]


@pytest.mark.parametrize("text", ["", "often", "0", "-1", "nan", "inf", "0.01"])
def test_a_bad_interval(fake: Fake, text: str) -> None:
    said = fake.ctl("monitor", "--pressure", text)
    assert (said.code, said.stdout) == (21, "")
    assert said.stderr.startswith(f"Bad parameter for --pressure: {text}") and fake.host.calls == []


def test_who_reads_too_slowly_is_told_what_he_lost(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    async def listen(ctids: object, pressure: object, tell: Callable[[Event], None]) -> None:
        for number in range(2000):  # more than fit into a pipe
            tell({**START, "number": number})
        assert fake.session.piped is not None
        read.append(os.read(fake.session.piped.fileno(), 1 << 20).decode())
        tell(START)
        tell(START)

    monkeypatch.setattr(fake.host, "listen", listen)
    rest = fake.ctl("monitor").stdout
    lines = [json.loads(line) for line in (read[0] + rest).splitlines()]
    whole = [line["number"] for line in lines[:-3]]
    assert whole == list(range(len(whole))) and 100 < len(whole) < 2000
    assert lines[-3:] == [{"time": START["time"], "event": "lost", "number": 2000 - len(whole)}, START, START]


@pytest.mark.parametrize("idle", [True, False])
def test_it_ends_when_nobody_can_read(fake: Fake, monkeypatch: pytest.MonkeyPatch, idle: bool) -> None:
    ended: list[bool] = []

    async def listen(ctids: object, pressure: object, tell: Callable[[Event], None]) -> None:
        assert fake.session.piped is not None
        fake.session.piped.close()
        fake.session.piped = None
        if not idle:
            tell(START)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    monkeypatch.setattr(fake.host, "listen", listen)
    assert fake.ctl("monitor").code == 0
    assert ended == [True]


def test_nothing_is_made_when_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> str:
        raise AssertionError("somebody has asked for the time")

    monkeypatch.setattr(events, "now", never)
    bus = Events()
    bus.tell(101, "start")
    heard: list[Event] = []
    with bus.listening(Listener(frozenset((102,)), heard.append)):
        bus.tell(101, "start")
    assert heard == []


def test_a_listener_hears_his_own_until_he_leaves() -> None:
    bus = Events()
    heard: list[Event] = []
    listener, stirred = Listener(frozenset((102,)), heard.append), bus.stirring()
    with bus.listening(listener):
        bus.tell(101, "start")
        bus.tell(102, "died", why="x")
        assert stirred.is_set()
    bus.tell(102, "start")
    assert [(one["ctid"], one["event"], one["why"]) for one in heard] == [(102, "died", "x")]
