"""Listening to what happens to containers: what the daemon does and sees, and what their limits refuse.

Everything here lives as long as somebody listens.
"""

import asyncio
from collections.abc import Callable, Set

from hostd.cgroup.pressure import pressure
from hostd.cgroup.tree import CtCgroup
from hostd.command.host import Event
from hostd.daemon.events import Listener
from hostd.daemon.refusals import Refusals
from hostd.daemon.registry import Registry
from hostd.errors import Exit, Failure


class Monitor:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._refusals = Refusals(registry)
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        """hostd ends: so does everybody who listens."""
        self._leaving.set()

    async def listen(self, ctids: Set[int], seconds: float, hear: Callable[[Event], None]) -> None:
        """As `hostd.command.host.Host.listen`.  *hear* waits for nobody: all that listen are told by the same task."""
        listener = Listener(ctids, hear)
        work = [asyncio.ensure_future(self._leaving.wait()), asyncio.ensure_future(self._refusals.tell(listener))]
        if seconds:
            work.append(asyncio.ensure_future(self._pressures(listener, seconds)))
        try:
            with self._registry.events.listening(listener):
                done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    async def _pressures(self, listener: Listener, seconds: float) -> None:
        """As often as this listener wants it, of whom he wants it."""
        while True:
            for ct in self._registry.known():
                if not ct.running or not listener.wants(ct.ctid):
                    continue
                found = pressure(CtCgroup(ct.world.tree, ct.ctid))
                if not found:
                    raise Failure(
                        Exit.BAD_KERNEL, "this kernel tells no pressure of containers", hint="boot it with psi=1"
                    )
                listener.tell(ct.ctid, "pressure", **found)
            await asyncio.sleep(seconds)
