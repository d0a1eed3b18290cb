"""Listening to what happens to containers: what the daemon does and sees, and what their limits refuse.

Everything here lives as long as somebody listens.
"""

import asyncio
from collections.abc import Callable, Set
from types import TracebackType
from typing import Self

from hostd.cgroup import stats
from hostd.cgroup.alarm import Alarm
from hostd.cgroup.pressure import pressure
from hostd.cgroup.tree import CtCgroup
from hostd.command.host import Event
from hostd.container import socket_limits
from hostd.container.container import Container
from hostd.daemon.events import Listener
from hostd.daemon.registry import Registry
from hostd.errors import Exit, Failure

PERIOD = 1.0  # seconds from one look to the next


class Monitor:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        """hostd ends: so does everybody who listens."""
        self._leaving.set()

    async def listen(self, ctids: Set[int], seconds: float, hear: Callable[[Event], None]) -> None:
        """As `hostd.command.host.Host.listen`."""
        listener = Listener(ctids, hear)
        work = [asyncio.ensure_future(self._leaving.wait()), asyncio.ensure_future(self._refusals(listener))]
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

    def _running(self, listener: Listener) -> list[Container]:
        known = self._registry.known()
        return [ct for ct in known if ct.running and (not listener.ctids or ct.ctid in listener.ctids)]

    async def _refusals(self, listener: Listener) -> None:
        """At most one look a second: a fork bomb is refused a thousand times in it, and that is one event."""
        with _Watch(listener) as watch:
            await watch.begin(self._running(listener))
            while True:
                await watch.sign()
                await watch.look(self._running(listener))
                await asyncio.sleep(PERIOD)

    async def _pressures(self, listener: Listener, seconds: float) -> None:
        while True:
            for ct in self._running(listener):
                found = pressure(CtCgroup(ct.world.tree, ct.ctid))
                if not found:
                    raise Failure(
                        Exit.BAD_KERNEL, "this kernel tells no pressure of containers", hint="boot it with psi=1"
                    )
                listener.tell(ct.ctid, "pressure", **found)
            await asyncio.sleep(seconds)


class _Watch:
    """What has been refused so far to the containers that run."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._alarm = Alarm()
        self._seen: dict[str, dict[str, int]] = {}  # by the start of a container
        self._names: set[str] = set()  # of those that are watched
        self._blind: set[int] = set()  # of whom the kernel gives no sign
        self._silent = False  # somebody has limits of which it gives none

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._alarm)
        self._alarm.close()

    async def begin(self, running: list[Container]) -> None:
        """What was refused before somebody listens is no event."""
        self._notice(running)
        self._seen = await self._figures(running)

    async def sign(self) -> None:
        """Until something may have been refused.  At once where there is no sign but to look."""
        if self._blind or self._silent:
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(self._alarm, self._listener.wake.set)
        try:
            await self._listener.wake.wait()
        finally:
            loop.remove_reader(self._alarm)
            self._listener.wake.clear()

    async def look(self, running: list[Container]) -> None:
        self._notice(running)
        self._alarm.stop()
        before, self._seen = self._seen, await self._figures(running)
        for ct in running:
            name = _start_of(ct)
            for which, number in self._seen.get(name, {}).items():
                if number > before.get(name, {}).get(which, 0):
                    self._tell(ct, which, number)

    def _tell(self, ct: Container, which: str, number: int) -> None:
        if which == stats.OOM_KILLS:
            self._listener.tell(ct.ctid, "oom", killed=number)
            return
        earlier = ct.record.counted.get(which, [0, 0])[1] if ct.record is not None else 0
        self._listener.tell(ct.ctid, "limit", which=which, failcnt=number + earlier)

    def _notice(self, running: list[Container]) -> None:
        """Who has come, and who has gone; a new start has a new cgroup."""
        names = {_start_of(ct) for ct in running}
        for name in self._names - names:
            self._alarm.leave(int(name.partition(":")[0]))
        self._blind &= {ct.ctid for ct in running}
        for ct in running:
            if _start_of(ct) not in self._names and not self._alarm.watch(CtCgroup(ct.world.tree, ct.ctid)):
                self._blind.add(ct.ctid)
        self._names = names

    async def _figures(self, running: list[Container]) -> dict[str, dict[str, int]]:
        cgroups = {_start_of(ct): CtCgroup(ct.world.tree, ct.ctid) for ct in running}
        found = await asyncio.to_thread(lambda: {name: _failures(one) for name, one in cgroups.items()})
        self._silent = any(name in figures for figures in found.values() for name in socket_limits.NAMES)
        return found


def _failures(cgroup: CtCgroup) -> dict[str, int]:
    return stats.failures(cgroup) | socket_limits.failures(cgroup)


def _start_of(ct: Container) -> str:
    return ct.record.child_name if ct.record is not None else f"{ct.ctid}:"
