"""What the limits of containers refuse: one watch for however many listeners, as long as there is one."""

import asyncio
from collections.abc import Callable

from hostd.cgroup import stats
from hostd.cgroup.alarm import Alarm
from hostd.cgroup.tree import CtCgroup
from hostd.container import socket_limits
from hostd.container.container import Container
from hostd.daemon.events import Listener
from hostd.daemon.registry import Registry

PERIOD = 1.0  # seconds from one look to the next: a fork bomb is refused a thousand times in it, and is one event

Figures = dict[str, dict[str, int]]  # by the start of a container


class Refusals:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._listeners: list[Listener] = []
        self._coming = 0  # who will be one, as soon as it is his turn
        self._stirred = registry.events.stirring()
        registry.last_look = self.look_last
        self._one = asyncio.Lock()  # at a time uses the watch: its own look, or a listener that comes
        self._watch: Watch | None = None
        self._looking: asyncio.Task[None] | None = None

    async def tell(self, listener: Listener) -> None:
        """Tell *listener* what is refused from now on, until cancelled."""
        try:
            self._coming += 1
            try:
                looking = await self._join(listener)
            finally:
                self._coming -= 1
            await asyncio.shield(looking)
        finally:
            self._leave(listener)

    async def _join(self, listener: Listener) -> "asyncio.Task[None]":
        """What was refused before is no event for who comes now, but may be one for the others."""
        async with self._one:
            if self._watch is None:
                self._watch = Watch(self._stirred, self._tell)
            watch = self._watch
            if self._looking is not None:
                await watch.look(self._running())
            self._listeners.append(listener)
            await watch.begin(self._running())
            if self._looking is None:
                self._looking = asyncio.ensure_future(self._look_on(watch))
                self._looking.add_done_callback(lambda done: watch.close())
        self._registry.events.stir()  # of some that are watched now the kernel may give no sign
        return self._looking

    def _leave(self, listener: Listener) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)
        if self._listeners or self._watch is None:
            return
        if self._looking is None:
            self._watch.close()
        elif self._coming and not self._looking.done():
            return  # he has it in use, or takes it over as it is
        else:
            self._looking.cancel()
        self._watch = self._looking = None

    async def _look_on(self, watch: "Watch") -> None:
        while True:
            await watch.sign()
            async with self._one:
                await watch.look(self._running())
            await asyncio.sleep(PERIOD)

    async def look_last(self, ct: Container) -> None:
        """At *ct*, which has ended; its cgroup is still there, and perhaps what ended it."""
        async with self._one:
            if self._watch is not None and any(one.wants(ct.ctid) for one in self._listeners):
                await self._watch.look([*self._running(), ct])

    def _running(self) -> list[Container]:
        """Those of whom somebody wants to hear."""
        known = self._registry.known()
        return [ct for ct in known if ct.running and any(one.wants(ct.ctid) for one in self._listeners)]

    def _tell(self, ctid: int, event: str, **more: object) -> None:
        for listener in self._listeners:
            listener.tell(ctid, event, **more)


class Watch:
    """What has been refused so far to the containers that run.  *stirred*: what there is to be looked at has changed.
    *tell*: as `Listener.tell`.
    """

    def __init__(self, stirred: asyncio.Event, tell: Callable[..., None]) -> None:
        self._stirred = stirred
        self._tell = tell
        self._alarm = Alarm()
        self._seen: Figures = {}
        self._names: set[str] = set()  # starts of those that are watched
        self._blind: set[int] = set()  # of whom the kernel gives no sign
        self._silent: set[str] = set()  # starts of those with limits of which it gives none

    def close(self) -> None:
        self._alarm.close()

    async def begin(self, running: list[Container]) -> None:
        """Watch those of *running* as well that are not yet: what was refused to them so far is no event."""
        fresh = [ct for ct in running if _start_of(ct) not in self._names]
        self._notice(running)
        self._seen |= await self._figures(fresh)

    async def sign(self) -> None:
        """Until something may have been refused.  At once where there is no sign but to look."""
        if self._blind or self._silent:
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(self._alarm, self._stirred.set)
        try:
            await self._stirred.wait()
        finally:
            loop.remove_reader(self._alarm)
            self._stirred.clear()

    async def look(self, running: list[Container]) -> None:
        self._notice(running)
        self._alarm.stop()
        before, self._seen = self._seen, await self._figures(running)
        for ct in running:
            name = _start_of(ct)
            for which, number in self._seen.get(name, {}).items():
                if number > before.get(name, {}).get(which, 0):
                    self._report(ct, which, number)

    def _report(self, ct: Container, which: str, number: int) -> None:
        """With those of the time before a checkpoint."""
        earlier = ct.record.counted.get(which, [0, 0])[1] if ct.record is not None else 0
        if which == stats.OOM_KILLS:
            self._tell(ct.ctid, "oom", killed=number + earlier)
        else:
            self._tell(ct.ctid, "limit", which=which, failcnt=number + earlier)

    def _notice(self, running: list[Container]) -> None:
        """Who has come, and who has gone; a new start has a new cgroup."""
        names = {_start_of(ct) for ct in running}
        for name in self._names - names:
            self._alarm.leave(int(name.partition(":")[0]))
        self._blind &= {ct.ctid for ct in running}
        self._silent &= names
        for ct in running:
            if _start_of(ct) not in self._names and not self._alarm.watch(CtCgroup(ct.world.tree, ct.ctid)):
                self._blind.add(ct.ctid)
        self._names = names

    async def _figures(self, containers: list[Container]) -> Figures:
        looks = {_start_of(ct): _look(ct) for ct in containers}
        found = await asyncio.to_thread(lambda: {name: look() for name, look in looks.items()})
        self._silent -= found.keys()
        self._silent |= {name for name, figures in found.items() if figures.keys() & set(socket_limits.NAMES)}
        return found


def _look(ct: Container) -> Callable[[], dict[str, int]]:
    """For a thread: what the loop may change meanwhile is read now.  To ask for sockets takes several system calls."""
    cgroup = CtCgroup(ct.world.tree, ct.ctid)
    if ct.record is None or not socket_limits.given(ct.record.live):
        return lambda: stats.failures(cgroup)
    return lambda: stats.failures(cgroup) | socket_limits.failures(cgroup)


def _start_of(ct: Container) -> str:
    return ct.record.child_name if ct.record is not None else f"{ct.ctid}:"
