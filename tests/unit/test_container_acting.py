"""One action at a time: who waits, and who is told."""

import asyncio
from typing import cast

import pytest

from hostd.container.container import Container
from hostd.container.world import World
from hostd.errors import Locked


def test_who_waits() -> None:
    async def scene() -> None:
        ct = Container(cast(World, None), 101)
        held = asyncio.Event()
        order: list[str] = []

        async def hold(action: str, *, own: bool) -> None:
            async with ct.acting(action, wait=own):
                await held.wait()
                order.append(action)

        async def start() -> None:
            async with ct.acting("start"):
                order.append("start")

        for action, own, said in (("stop", False, "vzctl stop 101"), ("reboot", True, "hostd reboot 101")):
            busy = asyncio.ensure_future(hold(action, own=own))
            await asyncio.sleep(0)
            with pytest.raises(Locked, match=f"cmdline {said}\nContainer already locked$"):
                await start()
            held.set()
            await busy
            held.clear()
        busy = asyncio.ensure_future(hold("stop", own=True))
        await asyncio.sleep(0)
        with pytest.raises(Locked, match="cmdline hostd stop 101\n"):
            async with ct.acting("set", after=()):
                pass
        waiting = asyncio.ensure_future(start())
        await asyncio.sleep(0)
        held.set()
        await asyncio.gather(busy, waiting)
        assert order == ["stop", "reboot", "stop", "start"]

    asyncio.run(scene())
