"""Refusals on a fake cgroup v2: what is told of whom, and what is not."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from hostd.cgroup.alarm import Alarm
from hostd.cgroup.tree import CtCgroup
from hostd.container import socket_limits
from hostd.container.container import Container
from hostd.daemon.refusals import Watch
from tests.harness.monitor_box import Box


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def play(box: Box, scene: Callable[[Watch], Coroutine[object, object, None]]) -> None:
    async def run() -> None:
        watch = Watch(box.stirred, box.listener.tell)
        await scene(watch)
        watch.close()

    asyncio.run(run())


def test_only_what_is_new_is_told(box: Box) -> None:
    async def scene(watch: Watch) -> None:
        one, two = box.container(101), box.container(102)
        box.refused(101, processes=7, memory=2)
        await watch.begin([one, two])
        await watch.look([one, two])
        assert box.told() == []
        box.refused(101, processes=9, memory=2)
        box.refused(102, memory=1, kills=1)
        await watch.look([one, two])
        assert sorted(box.told(), key=str) == [
            (101, "limit", "numproc", 9),
            (102, "limit", "physpages", 1),
            (102, "oom", "", 1),
        ]
        await watch.look([one, two])
        assert box.told() == []

    play(box, scene)


def test_who_comes_later_is_heard_from_his_start_on(box: Box) -> None:
    async def scene(watch: Watch) -> None:
        await watch.begin([])
        one = box.container(101)
        box.refused(101, processes=3)
        await watch.look([one])
        assert box.told() == [(101, "limit", "numproc", 3)]
        again = box.container(101, serial=2)  # a reboot: a new cgroup, which counts from 0
        await watch.look([again])
        assert box.told() == []
        box.refused(101, processes=2)
        await watch.look([again])
        assert box.told() == [(101, "limit", "numproc", 2)]
        await watch.look([])
        assert box.told() == []

    play(box, scene)


def test_what_is_counted_goes_on_over_a_checkpoint(box: Box) -> None:
    async def scene(watch: Watch) -> None:
        one = box.container(101, counted=40)
        await watch.begin([one])
        box.refused(101, processes=2, kills=1)
        await watch.look([one])
        assert sorted(box.told(), key=str) == [(101, "limit", "numproc", 42), (101, "oom", "", 41)]

    play(box, scene)


def test_without_a_sign_one_looks_and_with_nobody_one_waits(box: Box) -> None:
    """Plain files give none."""

    async def scene(watch: Watch) -> None:
        await watch.begin([])
        waiting = asyncio.ensure_future(watch.sign())
        await asyncio.sleep(0)
        assert not waiting.done()
        box.stirred.set()  # something was started
        await asyncio.wait_for(waiting, 10)
        assert not box.stirred.is_set()
        await watch.look([box.container(101)])
        await asyncio.wait_for(watch.sign(), 10)

    play(box, scene)


def limited(ct: Container, text: str) -> Container:
    assert ct.record is not None
    ct.record.live = {"NUMTCPSOCK": text, "NUMOTHERSOCK": ""}
    return ct


def test_sockets_give_no_sign(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they have limits one looks, though the kernel would tell of the others."""
    refused = {"numtcpsock": 0, "numothersock": 0}
    asked: list[int] = []

    def failures(cgroup: CtCgroup) -> dict[str, int]:
        asked.append(cgroup.ctid)
        return dict(refused)

    monkeypatch.setattr(Alarm, "watch", lambda alarm, cgroup: True)
    monkeypatch.setattr(socket_limits, "failures", failures)

    async def scene(watch: Watch) -> None:
        one, two = limited(box.container(101), "50:50"), limited(box.container(102), "")
        await watch.begin([one, two])
        await asyncio.wait_for(watch.sign(), 10)
        refused["numtcpsock"] = 5
        await watch.look([one, two])
        assert box.told() == [(101, "limit", "numtcpsock", 5)]
        await watch.look([two])
        assert set(asked) == {101}
        waiting = asyncio.ensure_future(watch.sign())
        await asyncio.sleep(0)
        assert not waiting.done()
        limited(two, "7")
        box.stirred.set()
        await asyncio.wait_for(waiting, 10)
        await watch.look([two])
        assert asked[-1] == 102

    play(box, scene)


@pytest.mark.parametrize(
    ("texts", "given"),
    [
        ({"NUMTCPSOCK": "", "NUMOTHERSOCK": ""}, False),
        ({"NUMTCPSOCK": "unlimited", "NUMOTHERSOCK": "9223372036854775807:9223372036854775807"}, False),
        ({"NUMTCPSOCK": "5:unlimited", "NUMOTHERSOCK": ""}, False),
        ({"NUMTCPSOCK": "unlimited:5", "NUMOTHERSOCK": ""}, True),
        ({"NUMTCPSOCK": "", "NUMOTHERSOCK": "0"}, True),
        ({"NUMTCPSOCK": ""}, True),  # the other one was not noted
    ],
)
def test_sockets_are_asked_for_where_they_may_be_limited(texts: dict[str, str], given: bool) -> None:
    assert socket_limits.given(texts) == given
