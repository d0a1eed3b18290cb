"""The machine and its containers, as the commands see them (`hostd.command.host.Host`)."""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set

from hostd.cgroup import stats
from hostd.cgroup.tree import CtCgroup
from hostd.checkpoint import images_dir
from hostd.command.host import (
    Change,
    CheckRow,
    Counter,
    CreateOptions,
    Ended,
    Facts,
    Report,
    Session,
    StartOptions,
    StopOptions,
    Usage,
)
from hostd.config import announce, live
from hostd.config.cache import ConfCache
from hostd.config.model import SIZED, STOP_TIMEOUT, CtConfig, expand
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf
from hostd.container import numproc, trees
from hostd.container.container import Container
from hostd.container.ops import (
    apply,
    chkpnt,
    console,
    create,
    destroy,
    disk,
    mount,
    password,
    restore,
    script,
    sessions,
    start,
    stop,
)
from hostd.container.ops.apply import LiveChange
from hostd.container.record import Record
from hostd.container.steps import unstoppable
from hostd.daemon.registry import Registry
from hostd.errors import BadConfig, Exit, Failure, NotRunning, VzError
from hostd.kernel.fd import Fd
from hostd.kernel.features import ROWS, probe
from hostd.kernel.mount import is_mounted
from hostd.log import timed

COMING_UP = ("start", "restore", "reboot")  # operations during which PID 1 is there, but nobody was told
CLEARING = ("stop",)  # what a container that ended by itself is cleared away with


class Host:
    """Implements `hostd.command.host.Host` on a registry of containers."""

    def __init__(self, registry: Registry, paths: Paths, confs: ConfCache) -> None:
        self._registry = registry
        self.paths = paths
        self.confs = confs

    # --- what is ------------------------------------------------------------------------------------------

    def ids(self) -> list[int]:
        try:
            files = os.listdir(self.paths.conf_dir)
        except FileNotFoundError:
            return []
        stems = (name[:-5] for name in files if name.endswith(".conf"))
        return sorted(int(stem) for stem in stems if stem.isdigit() and stem != "0")

    def facts(self, ctid: int) -> Facts:
        ct = self._registry.get(ctid)
        record = ct.record if ct is not None else None
        private, root = self._places(ctid, record)
        running = ct is not None and ct.running and record is not None and record.intent not in COMING_UP
        exists = bool(private) and os.path.isdir(private)
        up = time.clock_gettime(time.CLOCK_BOOTTIME) - record.started if running and record is not None else None
        return Facts(
            exists=exists,
            mounted=bool(root) and is_mounted(root),
            running=running,
            unsettled=ct is not None and ct.unsettled,
            suspended=exists and not running and images_dir.exists(self.paths.dump(ctid)),
            uptime=up,
            live=record.live if running and record is not None else {},
        )

    def _places(self, ctid: int, record: Record | None) -> tuple[str, str]:
        """VE_PRIVATE and VE_ROOT: of what is mounted, else what the file says, else vz.conf; "" without a file.

        Of a file with a bad value elsewhere, or one that is no configuration, as well.
        """
        try:
            raw = self.confs.raw(ctid)
        except BadConfig:
            raw = VeConf()
        except VzError:
            return "", ""
        if record is not None and record.root:
            return record.private, record.root
        private, root = raw.get("VE_PRIVATE"), raw.get("VE_ROOT")
        try:
            private, root = private or self.confs.globals().private, root or self.confs.globals().root
        except VzError:
            return "", ""
        return self.paths.below(expand(private, ctid)), self.paths.below(expand(root, ctid))

    def addresses(self) -> Iterable[tuple[int, str]]:
        return (
            (ct.ctid, address.partition("/")[0])
            for ct in self._registry.known()
            if ct.record is not None
            for address in ct.record.addresses
        )

    def usage(self, ctid: int, parts: Set[str]) -> Usage:
        ct = self._registry.get(ctid)
        record = ct.record if ct is not None else None
        if ct is None or record is None:
            return Usage()
        counters = _counters(CtCgroup(self._registry.world.tree, ctid), parts) if ct.running else {}
        kib, inodes = _disk_use(record.root) if "disk" in parts and record.layout in SIZED else (None, None)
        return Usage(counters=counters, load=None, disk_kib=kib, disk_inodes=inodes)

    def other_inodes(self, ctid: int, config: CtConfig) -> int | None:
        return disk.other_inodes(self._registry[ctid], config)

    def check(self) -> list[CheckRow]:
        features = probe()
        return [CheckRow(row.name, bool(getattr(features, row.field)), row.consequence) for row in ROWS]

    # --- what is done -------------------------------------------------------------------------------------

    async def create(self, ctid: int, options: CreateOptions, report: Report) -> None:
        ct = self._registry[ctid]
        async with ct.acting("create"):
            ct.world.require(options.config)
            await create.create(ct, options.config, report)

    async def destroy(self, ctid: int, report: Report) -> None:
        ct = self._registry[ctid]
        async with ct.acting("destroy", after=CLEARING):
            await start.release(ct, report)  # a record of something that is gone
            config = destroy.what_it_needs(ctid, self.confs.raw(ctid), self.confs.globals())
            await destroy.destroy(self.paths, config, report)
            running = [ct.record.template_tree for ct in self._registry.known() if ct.record is not None]
            await unstoppable(asyncio.to_thread(trees.tidy, self.paths, self.confs.globals(), running))

    async def start(self, ctid: int, options: StartOptions, report: Report) -> None:
        ct = self._registry[ctid]
        async with ct.acting("start", after=CLEARING):
            config = self.confs.ct(ctid)
            report("Starting container...")
            await start.start(ct, config, report)
            report("Container is mounted")
            for line in announce.starting(config):
                report(line)
            await restore.forget(self.paths.dump(ctid))
            report("Container start in progress..." + (", waiting ..." if options.wait else ""))
            if options.wait:
                await self._services(ct)
                report("Container started successfully")

    async def _services(self, ct: Container) -> None:
        """The container is up: who gives up now gives up waiting."""
        try:
            await start.services_up(ct)
        except asyncio.CancelledError:
            raise Failure(Exit.WAIT_FAILED, "not waited any longer; the container runs") from None

    async def stop(self, ctid: int, options: StopOptions, report: Report) -> None:
        ct = self._registry[ctid]
        unsettled = ct.unsettled
        ct.unwanted.set()
        ct.stays_mounted = options.skip_umount
        try:
            async with ct.acting("stop", after=("reboot", "stop")):
                if ct.running:
                    patience = self._patience(ctid)
                    await stop.stop(ct, patience, report, fast=options.fast, keep_mounted=options.skip_umount)
                elif unsettled:
                    report("Container was stopped")
                    if failures := await stop.leave(ct, report, keep_mounted=options.skip_umount):
                        raise failures[0]
        finally:
            ct.unwanted.clear()
            ct.stays_mounted = False

    def _patience(self, ctid: int) -> int:
        """Seconds to shut down; a file that cannot be used keeps no container from being stopped."""
        try:
            return self.confs.ct(ctid).stop_timeout
        except VzError:
            return STOP_TIMEOUT

    async def mount(self, ctid: int, report: Report) -> None:
        ct = self._registry[ctid]
        async with ct.acting("mount", after=CLEARING):
            await mount.mount(ct, self.confs.ct(ctid), report)

    async def umount(self, ctid: int, report: Report) -> None:
        ct = self._registry[ctid]
        async with ct.acting("umount"):
            await mount.umount(ct, report)

    async def apply(self, ctid: int, change: Change, report: Report) -> None:
        ct = self._registry[ctid]
        async with ct.acting("set"):
            texts = {key: live.text(change.after, self.confs.globals(), key) for key in change.keys}
            await apply.apply(ct, LiveChange(change.before, change.after, change.add, change.delete, texts))

    async def resize(self, ctid: int, config: CtConfig) -> None:
        ct = self._registry[ctid]
        async with ct.acting("set"):
            await disk.resize(ct, config)

    async def set_passwords(self, ctid: int, passwords: Mapping[str, str]) -> None:
        ct = self._registry[ctid]
        async with ct.acting("set"), self._somehow_running(ct):
            await password.change(ct, passwords)

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
        async with ct.acting("chkpnt"):
            if not ct.running:
                raise NotRunning("Unable to setup checkpointing: container is not running")
            with timed("chkpnt:"):
                await chkpnt.chkpnt(ct, dumpfile or self.paths.dump(ctid), report)

    async def restore(self, ctid: int, dumpfile: str | None, report: Report) -> None:
        ct = self._registry[ctid]
        async with ct.acting("restore", after=CLEARING):
            config = self.confs.ct(ctid)
            with timed("restore:"):
                await restore.restore(ct, config, dumpfile or self.paths.dump(ctid), report)
                if dumpfile is None:
                    await restore.forget(self.paths.dump(ctid))


def _counters(cgroup: CtCgroup, parts: Set[str]) -> dict[str, Counter]:
    if "counters" in parts:
        rows = stats.usage(cgroup).counters()
        return {name: Counter(row.held, row.maxheld, row.failcnt) for name, row in rows.items()}
    processes = stats.processes(cgroup) if "processes" in parts else None
    return {} if processes is None else {"numproc": Counter(processes)}


def _disk_use(root: str) -> tuple[int | None, int | None]:
    """Used KiB and inodes of the mounted tree *root*, a file system of its own."""
    try:
        status = os.statvfs(root)
    except OSError:
        return None, None
    return (status.f_blocks - status.f_bfree) * status.f_frsize // 1024, status.f_files - status.f_ffree


def _read_script(file: Fd) -> str:
    with file, open(file.steal(), encoding="utf-8", errors="surrogateescape") as stream:
        return stream.read()
