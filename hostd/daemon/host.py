"""The machine and its containers, as the commands see them (`hostd.command.host.Host`)."""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import ExitStack

from hostd.checkpoint import images_dir
from hostd.command.figures import Usage
from hostd.command.host import (
    Change,
    CheckRow,
    CreateOptions,
    Ended,
    Event,
    Facts,
    Report,
    Session,
    StartOptions,
    StopOptions,
)
from hostd.config import announce, live
from hostd.config.cache import ConfCache
from hostd.config.model import STOP_TIMEOUT, CtConfig
from hostd.config.paths import Paths
from hostd.container import numproc, services, trees, unkept
from hostd.container.container import BY_ITSELF, Container
from hostd.container.ops import (
    apply,
    chkpnt,
    console,
    create,
    destroy,
    disk,
    first_boot,
    keys,
    logins,
    mount,
    restore,
    script,
    sessions,
    start,
    stop,
)
from hostd.container.ops.apply import LiveChange
from hostd.container.steps import unstoppable
from hostd.daemon import usage, whereabouts
from hostd.daemon.monitor import Monitor
from hostd.daemon.registry import Registry
from hostd.errors import Exit, Failure, NotRunning, VzError
from hostd.kernel.fd import Fd
from hostd.kernel.features import ROWS, probe
from hostd.kernel.mount import is_mounted
from hostd.log import timed
from hostd.userdata.logins import Logins
from hostd.userdata.plan import Plan

COMING_UP = ("start", "restore", "restored", "reboot")  # operations during which PID 1 is there, but nobody was told


class Host:
    """Implements `hostd.command.host.Host` on a registry of containers."""

    def __init__(self, registry: Registry, paths: Paths, confs: ConfCache, monitor: Monitor) -> None:
        self._registry = registry
        self._monitor = monitor
        self.paths = paths
        self.confs = confs

    # --- what is ------------------------------------------------------------------------------------------

    def ids(self) -> list[int]:
        try:
            files = os.listdir(self.paths.conf_dir)
        except FileNotFoundError:
            files = []
        stems = {name[:-5] for name in files if name.endswith(".conf")}
        having = {int(stem) for stem in stems if stem.isdigit() and stem != "0"}
        others = {ct.ctid for ct in self._registry.known()} - having
        return sorted(having | {ctid for ctid in others if self.facts(ctid).there})

    def facts(self, ctid: int) -> Facts:
        ct = self._registry.get(ctid)
        record = ct.record if ct is not None else None
        private, root = self._places(ctid)
        running = ct is not None and ct.running and record is not None and record.intent not in COMING_UP
        exists = bool(private) and os.path.isdir(private)
        up = time.clock_gettime(time.CLOCK_BOOTTIME) - record.started if running and record is not None else None
        return Facts(
            exists=exists,
            mounted=bool(root) and is_mounted(root),
            running=running,
            unsettled=ct is not None and ct.unsettled,
            unborn=record is not None and not private and os.path.exists(self.paths.ct_creating(ctid)),
            suspended=exists and not running and images_dir.restorable(self.paths.dump(ctid)),
            uptime=up,
            serial=record.serial if running and record is not None else None,
            live=record.live if running and record is not None else {},
        )

    def _places(self, ctid: int) -> tuple[str, str]:
        ct = self._registry.get(ctid)
        return whereabouts.places(self.paths, self.confs, ctid, ct.record if ct is not None else None)

    async def settled(self, ctid: int) -> None:
        if ct := self._registry.get(ctid):
            await ct.settled()

    def addresses(self) -> Iterable[tuple[int, str]]:
        return (
            (ct.ctid, address.partition("/")[0])
            for ct in self._registry.known()
            if ct.record is not None
            for address in ct.record.addresses
        )

    async def usage(self, wanted: Mapping[int, Set[str]]) -> Mapping[int, Usage]:
        return await usage.of((ct, parts) for ctid, parts in wanted.items() if (ct := self._registry.get(ctid)))

    async def listen(self, ctids: Set[int], pressure: float, tell: Callable[[Event], None]) -> None:
        await self._monitor.listen(ctids, pressure, tell)

    def other_inodes(self, ctid: int, config: CtConfig) -> int | None:
        return disk.other_inodes(self._registry[ctid], config)

    def unkept(self, config: CtConfig, keys: Set[str]) -> list[str]:
        return list(unkept.lines(self._registry.world.tree, config, keys))

    def check(self) -> list[CheckRow]:
        features = probe()
        return [CheckRow(row.name, bool(getattr(features, row.field)), row.consequence) for row in ROWS]

    # --- what is done -------------------------------------------------------------------------------------

    async def create(self, ctid: int, options: CreateOptions, report: Report) -> None:
        ct = self._registry[ctid]
        async with ct.acting("create"):
            create.check_free(ct, *self._places(ctid))
            await start.release(ct, report)  # a record of something that is gone
            ct.world.require(options.config)
            await create.create(ct, options.config, options.plan, report)

    async def destroy(self, ctid: int, report: Report) -> None:
        ct = self._registry[ctid]
        async with ct.acting("destroy"):
            await start.release(ct, report)  # a record of something that is gone
            config = destroy.what_it_needs(ctid, self.confs.raw(ctid), self.confs.globals())
            await destroy.destroy(self.paths, config, report)
            running = [ct.record.template_tree for ct in self._registry.known() if ct.record is not None]
            await unstoppable(trees.tidied(self.paths, self.confs.globals(), running))

    async def start(self, ctid: int, options: StartOptions, report: Report) -> None:
        ct = self._registry[ctid]
        with ExitStack() as told:  # what runs although something failed after it, as a key, as well
            async with ct.acting("start"):
                config = self.confs.ct(ctid)
                report("Starting container...")
                await start.start(ct, config, report)
                told.callback(self._registry.events.tell, ctid, "start")
                report("Container is mounted")
                for line in (*announce.starting(config), *unkept.starting(self._registry.world.tree, config)):
                    report(line)
                if options.ssh_keys:
                    await keys.add(ct, options.ssh_keys)
                report("Container start in progress..." + (", waiting ..." if options.wait else ""))

    async def all_up(self, ctid: int) -> None:
        ct = self._registry[ctid]
        try:
            await services.up(ct)
            await first_boot.finished(ct)
        except asyncio.CancelledError:  # who gives up now gives up waiting
            raise Failure(Exit.WAIT_FAILED, "not waited any longer; the container runs") from None

    async def stop(self, ctid: int, options: StopOptions, report: Report) -> None:
        ct = self._registry[ctid]
        unsettled = ct.unsettled
        ct.unwanted.set()
        ct.stays_mounted = options.skip_umount
        hurry = asyncio.ensure_future(stop.end_restart(ct)) if options.fast else None
        told = ExitStack()
        try:
            async with ct.acting("stop", after=BY_ITSELF):
                if (up := ct.running) or unsettled:
                    told.callback(self._tell_down, ct, "stop")  # what is down although a script failed, as well
                if up:
                    patience = self._patience(ctid)
                    await stop.stop(ct, patience, report, fast=options.fast, keep_mounted=options.skip_umount)
                elif unsettled:
                    report("Container was stopped")
                    if failures := await stop.leave(ct, report, keep_mounted=options.skip_umount):
                        raise failures[0]
        finally:
            told.close()
            if hurry is not None:
                hurry.cancel()
            ct.unwanted.clear()
            ct.stays_mounted = False

    def _tell_down(self, ct: Container, event: str) -> None:
        if ct.process is None:  # of one that ended while it was stopped, and that stays to be cleared away, others tell
            self._registry.events.tell(ct.ctid, event)

    def _patience(self, ctid: int) -> int:
        """Seconds to shut down; a file that cannot be used keeps no container from being stopped."""
        try:
            return self.confs.ct(ctid).stop_timeout
        except VzError:
            return STOP_TIMEOUT

    async def mount(self, ctid: int, report: Report) -> None:
        ct = self._registry[ctid]
        async with ct.acting("mount"):
            await mount.mount(ct, self.confs.ct(ctid), report)

    async def umount(self, ctid: int, report: Report) -> None:
        ct = self._registry[ctid]
        async with ct.acting("umount"):
            await mount.umount(ct, report)

    async def apply(self, ctid: int, change: Change, report: Report) -> None:
        ct = self._registry[ctid]
        async with ct.acting("set"):
            if not ct.running:
                raise NotRunning("Container has stopped meanwhile; nothing was changed")
            texts = {key: live.text(change.after, self.confs.globals(), key) for key in change.keys & set(live.KEYS)}
            added, deleted = change.add, change.delete
            await apply.apply(ct, LiveChange(change.before, change.after, added, deleted, texts, change.logins), report)
        self._registry.events.stir()

    async def resize(self, ctid: int, config: CtConfig) -> None:
        ct = self._registry[ctid]
        async with ct.acting("set"):
            await disk.resize(ct, config)

    async def set_logins(self, ctid: int, wanted: Logins) -> None:
        ct = self._registry[ctid]
        async with ct.acting("set"), self._somehow_running(ct):
            await logins.change(ct, wanted)

    async def lay_plan(self, ctid: int, plan: Plan) -> None:
        async with self._registry[ctid].acting("set"):
            first_boot.lay(self.paths, ctid, plan)

    # --- sessions: several at once, beside an action ------------------------------------------------------

    async def exec(
        self, ctid: int, candidates: Sequence[Sequence[str]], env: Mapping[str, str], session: Session
    ) -> Ended:
        ct = self._registry[ctid]
        before = numproc.refusals(ct)
        code = await sessions.execute(ct, candidates, env, session)
        return Ended(code, refused=code != 0 and numproc.refusals(ct) > before)

    async def enter(self, ctid: int, command: str | None, session: Session, entered: Callable[[], None]) -> Ended:
        return Ended(await sessions.enter(self._registry[ctid], command, session, entered))

    async def console(self, ctid: int, tty: int, session: Session) -> None:
        await console.console(self._registry[ctid], tty, session)

    async def runscript(self, ctid: int, file: Fd, session: Session) -> Ended:
        ct = self._registry[ctid]
        text = _read_script(file)
        if ct.running:
            return Ended(await script.run_script(ct, text, session))
        async with ct.acting("runscript"), self._somehow_running(ct):
            return Ended(await script.run_script(ct, text, session))

    def _somehow_running(self, ct: Container) -> "script.SomehowRunning":
        return script.SomehowRunning(ct, self.confs.ct(ct.ctid))

    # --- checkpoint ---------------------------------------------------------------------------------------

    async def chkpnt(self, ctid: int, dumpfile: str | None, report: Report) -> None:
        ct = self._registry[ctid]
        with ExitStack() as told:
            async with ct.acting("chkpnt"):
                if not ct.running:
                    raise NotRunning("Unable to setup checkpointing: container is not running")
                if first_boot.under_way(ct):
                    raise Failure(Exit.CHKPNT, "Unable to setup checkpointing: the first boot is not done yet")
                told.callback(self._tell_down, ct, "suspended")
                with timed("chkpnt:"):
                    await chkpnt.chkpnt(ct, dumpfile or self.paths.dump(ctid), report)

    async def restore(self, ctid: int, dumpfile: str | None, report: Report) -> None:
        ct = self._registry[ctid]
        async with ct.acting("restore"):
            config = self.confs.ct(ctid)
            with timed("restore:"):
                await restore.restore(ct, config, dumpfile or self.paths.dump(ctid), report)
        self._registry.events.tell(ctid, "restored")


def _read_script(file: Fd) -> str:
    with file, open(file.steal(), encoding="utf-8", errors="surrogateescape") as stream:
        return stream.read()
