"""Every container the daemon knows, and what it does when something happens to one by itself."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from hostd.container import faults, last_words
from hostd.container.container import Container, Ended
from hostd.container.ops import start, stop
from hostd.container.report import to_log
from hostd.container.steps import nothing
from hostd.container.world import World
from hostd.daemon.events import Events
from hostd.daemon.keeper_link import ChildExit
from hostd.errors import VzError
from hostd.log import log

# A container that reboots in a tight loop must not take the host with it: after this many reboots within WINDOW
# seconds each further one waits a little longer, up to MAX_PAUSE.
FREE_REBOOTS = 5
WINDOW = 10.0
MAX_PAUSE = 5.0
LAST_LINES = 10  # of the console of a container whose init died, for the log


class Registry:
    """Containers by CTID, made when first asked for."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._containers: dict[int, Container] = {}
        self._reboots: dict[int, list[float]] = {}
        self._tasks: set[asyncio.Future[None]] = set()
        self.events = Events()
        self.last_look: Callable[[Container], Awaitable[None]] = nothing  # at one that has ended by itself

    def __getitem__(self, ctid: int) -> Container:
        ct = self._containers.get(ctid)
        if ct is None:
            ct = self._containers[ctid] = Container(self.world, ctid)
        return ct

    def get(self, ctid: int) -> Container | None:
        """The container, when anything was ever done with it: asking about others makes nothing."""
        return self._containers.get(ctid)

    def known(self) -> list[Container]:
        """Containers with a record: running, mounted, or in the middle of an action."""
        return [ct for ct in self._containers.values() if ct.record is not None]

    def running(self) -> list[Container]:
        return [ct for ct in self.known() if ct.running]

    def background(self, work: "asyncio.Future[None]") -> None:
        """Keep a task alive until it ends."""
        self._tasks.add(work)
        work.add_done_callback(self._tasks.discard)

    def leave(self) -> None:
        """Nobody is to wait here for a start any more."""
        for ct in self._containers.values():
            ct.awake.give_up()

    async def settle(self) -> None:
        """Wait for what runs in the background."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def child_ended(self, child: ChildExit) -> None:
        """The keeper says that PID 1 has ended; its wait status, when there is one, says why."""
        ct = self[int(child.name.partition(":")[0])]
        if ct.record is None or ct.record.child_name != child.name:
            self.world.keeper.forget(child.name)
            return
        self._ended(ct, how_it_ended(ct, child))

    def _ended(self, ct: Container, end: Ended) -> None:
        if ct.gone(end):
            self.background(asyncio.create_task(self.aftermath(ct, end)))

    async def aftermath(self, ct: Container, end: Ended) -> None:
        """Start the container again, or take it down; an action in flight deals with the end itself."""
        faults.point(f"ended.{end.how}")
        serial = ct.record.serial if ct.record else 0
        async with ct.acting("reboot" if end.how == "reboot" else "stop", wait=True):
            if ct.record is None or ct.record.serial != serial:
                return
            try:
                await self.last_look(ct)
            except Exception:
                log.exception("no last look at it")
            if end.how == "died":
                log.error("init died: %s", end.text)
                self.events.tell(ct.ctid, "died", why=end.text)
                for line in last_words.lines(ct.words, LAST_LINES):
                    log.error("console: %s", line)
            try:
                if end.how == "reboot" and not ct.record.setup:
                    await self._reboot(ct)
                else:
                    await stop.leave(ct, to_log, keep_mounted=ct.stays_mounted)
                    if end.how == "halt" and not ct.unwanted.is_set():  # whoever stops it tells of that
                        self.events.tell(ct.ctid, "stop")
            except Exception as error:
                level = log.error if isinstance(error, VzError) else log.exception
                level("after its end: %s", error)

    async def start_again(self, ct: Container) -> None:
        """Finish a reboot that an earlier daemon had begun."""
        async with ct.acting("reboot", wait=True):
            if ct.record is None:
                return
            try:
                await self._reboot(ct)
            except Exception as error:
                level = log.error if isinstance(error, VzError) else log.exception
                level("cannot be started again: %s", error)

    async def _reboot(self, ct: Container) -> None:
        await self._pause(ct)
        log.info("rebooting")
        try:
            config = self.world.load_config(ct.ctid)
            if config.disabled or ct.unwanted.is_set():
                log.info("not started again: %s", "DISABLED=yes" if config.disabled else "it is to stop")
                await stop.leave(ct, to_log, keep_mounted=ct.stays_mounted)
                if not ct.unwanted.is_set():
                    self.events.tell(ct.ctid, "stop")
                return
            await start.again(ct, config, to_log)
        except BaseException as error:
            await stop.leave(ct, to_log)
            self.events.tell(ct.ctid, "died", why=f"it could not be started again: {error}")
            raise
        log.info("rebooted")
        self.events.tell(ct.ctid, "reboot")

    async def _pause(self, ct: Container) -> None:
        """Nothing for a reboot now and then.  Ends when somebody stops the container."""
        now = asyncio.get_running_loop().time()
        recent = [at for at in self._reboots.get(ct.ctid, []) if now - at < WINDOW]
        self._reboots[ct.ctid] = [*recent, now]
        excess = len(recent) - FREE_REBOOTS
        if excess >= 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(0.2 * 2**excess, MAX_PAUSE)):
                    await ct.unwanted.wait()


def as_announced(ct: Container) -> Ended:
    """The end of a PID 1 that was no child of this keeper: only what vzinit announced tells why."""
    announced = ct.record.announced if ct.record is not None else ""
    if announced:
        return Ended("reboot" if announced == "reboot" else "halt")
    return Ended("died", "its keeper had been killed before, so the reason is unknown")


# What the parent of a pid namespace's PID 1 sees when somebody inside called reboot(2): reboot(2), "Behavior
# inside PID namespaces".
SIGHUP, SIGINT = 1, 2
CLD_EXITED, CLD_KILLED, CLD_DUMPED = 1, 2, 3


def how_it_ended(ct: Container, child: ChildExit) -> Ended:
    """The reason, by the wait status when there is one, or by what was announced."""
    return by_status(child.code, child.status) if child.known else as_announced(ct)


def by_status(code: int, status: int) -> Ended:
    """From waitid's si_code and si_status to a reason."""
    if code == CLD_KILLED and status == SIGHUP:
        return Ended("reboot")
    if code == CLD_KILLED and status == SIGINT:
        return Ended("halt")
    if code == CLD_EXITED:
        return Ended("died", f"exit code {status}")
    dumped = " (core dumped)" if code == CLD_DUMPED else ""
    return Ended("died", f"killed by signal {status}{dumped}")
