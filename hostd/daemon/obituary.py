"""A line in the log when the kernel has killed processes of a container for memory, whether somebody listens or not."""

import asyncio
from contextlib import suppress

from hostd.cgroup import stats
from hostd.cgroup.alarm import Alarm
from hostd.cgroup.tree import CtCgroup
from hostd.command.host import Event
from hostd.container.container import Container
from hostd.daemon.events import Listener
from hostd.daemon.registry import Registry
from hostd.log import about, log

PAUSE = 5.0  # seconds: v1 gives its sign before the kill, and of many in a row one line is enough
BEGINS = frozenset(("start", "restored", "reboot"))
ENDS = frozenset(("stop", "died", "suspended"))


def missed(registry: Registry, ct: Container, why: str) -> None:
    """Of a container that died, for *why*, and that no daemon has cleared away; its cgroup is still there."""
    log.error("init died: %s", why)
    with suppress(OSError):
        if number := stats.kills(CtCgroup(registry.world.tree, ct.ctid)):
            log.warning("out of memory: %d killed inside since its start", number)


class Obituary:
    """Of all containers that run, for as long as hostd does."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._alarm = Alarm()
        self._told: dict[int, int] = {}  # by CTID, of those that are watched: how many the log has

    async def keep(self) -> None:
        """Until cancelled.  What happened before is not told: another daemon may have told it."""
        for ct in self._registry.running():
            self.begin(ct)
        loop = asyncio.get_running_loop()
        rang = asyncio.Event()
        loop.add_reader(self._alarm, rang.set)
        try:
            with self._registry.events.listening(Listener(frozenset(), self._hear)):
                while True:
                    await rang.wait()
                    loop.remove_reader(self._alarm)
                    await asyncio.sleep(PAUSE)
                    self._alarm.stop()
                    self._look()
                    rang.clear()
                    loop.add_reader(self._alarm, rang.set)
        finally:
            loop.remove_reader(self._alarm)
            self._alarm.close()

    def begin(self, ct: Container) -> None:
        """With *ct*, which runs."""
        self._begin(ct.ctid, self._kills(ct.ctid, 0))

    def _hear(self, event: Event) -> None:
        ctid = int(str(event["ctid"]))
        if event["event"] in BEGINS:
            self._begin(ctid, 0)  # a new start has a new cgroup
        elif event["event"] in ENDS:
            self._look()  # of one that died for it there is no later
            self._end(ctid)

    def _begin(self, ctid: int, told: int) -> None:
        self._end(ctid)
        if self._alarm.watch_kills(self._cgroup(ctid)):
            self._told[ctid] = told

    def _end(self, ctid: int) -> None:
        self._alarm.leave(ctid)
        self._told.pop(ctid, None)

    def _look(self) -> None:
        for ctid, told in self._told.items():
            number = self._kills(ctid, told)
            if number > told:
                self._told[ctid] = number
                with about(ctid):
                    log.warning("out of memory: %d killed inside, %d since its start", number - told, number)

    def _kills(self, ctid: int, known: int) -> int:
        """*known* where they cannot be counted, as with too many open files: that ends nothing."""
        try:
            return stats.kills(self._cgroup(ctid))
        except OSError as error:
            with about(ctid):
                log.warning("killed for memory: %s", error)
            return known

    def _cgroup(self, ctid: int) -> CtCgroup:
        return CtCgroup(self._registry.world.tree, ctid)
