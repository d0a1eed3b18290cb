"""vzctl monitor: which containers, what is printed, and what is lost."""

import asyncio
import json
from pathlib import Path

import pytest

from hostd.command.host import Event
from hostd.command.verbs import monitor
from hostd.daemon import events
from hostd.daemon.events import Events, Listener
from hostd.errors import Exit
from tests.harness.fake_host import Fake, FakeSession

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
    """The command takes nothing until the third event."""
    fake.host.events = [{**START, "ctid": ctid} for ctid in (101, 102, 103, 104)]
    behind = iter((monitor.BACKLOG, monitor.BACKLOG + 1, monitor.BACKLOG + 1, 0))
    monkeypatch.setattr(FakeSession, "backlog", property(lambda _: next(behind)))
    said = [json.loads(line) for line in fake.ctl("monitor").stdout.splitlines()]
    assert said[0]["ctid"] == 101 and said[2]["ctid"] == 104
    assert said[1] == {"time": START["time"], "event": "lost", "number": 2}


def test_it_ends_with_the_command(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = asyncio.Event()

    async def listen(*_: object) -> None:
        fake.session.gone.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    monkeypatch.setattr(fake.host, "listen", listen)
    assert fake.ctl("monitor").code == 0
    assert ended.is_set()


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
    listener = Listener(frozenset((102,)), heard.append)
    with bus.listening(listener):
        bus.tell(101, "start")
        bus.tell(102, "died", why="x")
        assert listener.wake.is_set()
    bus.tell(102, "start")
    assert [(one["ctid"], one["event"], one["why"]) for one in heard] == [(102, "died", "x")]
