"""What the log says of processes that were killed for memory, on a fake cgroup v2 whose alarm is rung by hand."""

import asyncio
import errno
import logging
import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hostd.cgroup import stats
from hostd.cgroup.alarm import Alarm
from hostd.cgroup.tree import CtCgroup
from hostd.container.container import Container
from hostd.daemon import obituary
from hostd.daemon.events import Events
from hostd.daemon.obituary import Obituary
from hostd.daemon.registry import Registry
from tests.harness.fake_cgroups import v2


def kill(cgroup: CtCgroup, number: int) -> None:
    Path(cgroup.path("memory") or "", "memory.events").write_text(f"max 9\noom_kill {number}\n")


def refuse(*_: object) -> int:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


async def rounds() -> None:
    """Enough of them for all that is due."""
    await asyncio.sleep(0.02)


def test_one_line_for_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cgroup, events = v2(tmp_path), Events()
    world = SimpleNamespace(tree=cgroup.tree)
    running = [cast(Container, SimpleNamespace(ctid=101, world=world))]
    registry = cast(Registry, SimpleNamespace(world=world, events=events, running=lambda: running))
    watched: set[int] = set()
    monkeypatch.setattr(obituary, "PAUSE", 0.0)

    def watch(self: Alarm, one: CtCgroup) -> bool:
        watched.add(one.ctid)
        return True

    monkeypatch.setattr(Alarm, "watch_kills", watch)
    monkeypatch.setattr(Alarm, "leave", lambda self, ctid: watched.discard(ctid))

    async def scene() -> None:
        kill(cgroup, 2)  # before this daemon
        paper = Obituary(registry)
        work = asyncio.ensure_future(paper.keep())
        await rounds()
        paper._look()
        assert caplog.messages == [] and watched == {101}
        kill(cgroup, 5)
        with monkeypatch.context() as full:
            full.setattr(stats, "kills", refuse)
            paper._look()  # does not end it, and loses nothing
        assert "Too many open files" in caplog.messages[0]
        caplog.clear()
        paper._look()
        paper._look()
        assert caplog.messages == ["out of memory: 3 killed inside, 5 since its start"]
        events.tell(101, "reboot")
        kill(cgroup, 1)
        paper._look()
        assert caplog.messages[1:] == ["out of memory: 1 killed inside, 1 since its start"]
        events.tell(101, "limit")
        kill(cgroup, 2)
        events.tell(101, "died")
        kill(cgroup, 7)
        paper._look()
        assert caplog.messages[2:] == ["out of memory: 1 killed inside, 2 since its start"] and watched == set()
        work.cancel()
        await asyncio.wait((work,))
        assert work.cancelled() and not events._listeners

    with caplog.at_level(logging.WARNING, "vzhost"):
        asyncio.run(scene())
