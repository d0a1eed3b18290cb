"""Who is told of his beancounters, and how often."""

import asyncio
from pathlib import Path
from typing import cast

import pytest

from hostd.command.host import Host
from hostd.container.container import Container
from hostd.daemon import beancounters
from hostd.daemon.events import Events
from tests.harness.monitor_box import Box


def test_one_that_is_slow_to_look_at_keeps_no_other_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box, noted = Box(tmp_path), list[int]()
    slow, other, without = (box.container(ctid, serial=ctid) for ctid in (101, 102, 103))
    for ct in (slow, other):
        assert ct.record is not None
        ct.record.openvz = True
    seen = asyncio.Event()

    async def note(host: Host, ct: Container) -> None:
        noted.append(ct.ctid)
        seen.set()
        if ct is slow:
            await asyncio.Event().wait()

    async def scene() -> None:
        events = Events()
        running = [slow, other, without]
        watching = asyncio.ensure_future(beancounters.watch(cast(Host, None), events, lambda: running))
        for times in range(1, 4):
            while noted.count(102) < times:
                seen.clear()
                await asyncio.wait_for(seen.wait(), 20)
            events.stir()
        assert noted.count(101) == 1 and 103 not in noted
        following = asyncio.all_tasks() - {watching, asyncio.current_task()}
        other.record = None  # it has ended
        events.stir()
        ended, still = await asyncio.wait(following, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        assert (len(ended), len(still)) == (1, 1), "the other one, and the slow one"
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        assert len(asyncio.all_tasks()) == 1

    monkeypatch.setattr(beancounters, "note", note)
    asyncio.run(scene())
