"""After a crash: every container that runs is taken over, every operation that was cut off is finished or undone,
and what no container owns is removed.  Only the records and the kernel are asked.
"""

import asyncio
import glob
import os
import socket
from collections.abc import Sequence
from contextlib import suppress

from hostd.cgroup import stats
from hostd.cgroup.tree import CtCgroup
from hostd.checkpoint import state
from hostd.config import lockfile
from hostd.config.paths import Paths
from hostd.container import overtaken, rescue
from hostd.container import record as records
from hostd.container.container import Container
from hostd.container.init_link import ChannelLost, InitLink, abandon
from hostd.container.ops import apply, create, destroy, first_boot, restore, start
from hostd.container.record import Record
from hostd.container.report import to_log
from hostd.daemon import leftovers, obituary
from hostd.daemon.keeper_link import ChildExit, KeeperLink
from hostd.daemon.registry import Registry, how_it_ended
from hostd.errors import VzError
from hostd.kernel.clocks import Clocks
from hostd.kernel.mount import is_mounted
from hostd.kernel.process import Process
from hostd.log import about, log
from hostd.net import venet

REATTACH_TIMEOUT = 10.0  # seconds
PATIENCE = 5.0  # seconds for all containers together, until commands are served

# What the next daemon does with an operation that the last one left in the middle.  A start is undone (nobody was told
# that it worked), and so is a restore up to the moment when its tasks run; what was on its way down goes on down; a
# container that wanted to be started again is started; a change of a running one is taken back; anything else left the
# container running.
UNDO, FINISH, KEEP, AGAIN, REVERT = "undo", "finish", "keep", "again", "revert"
CUT_OFF = {
    "": KEEP,
    "start": UNDO,
    "restore": UNDO,
    "restored": KEEP,
    "mount": UNDO,
    "umount": FINISH,
    "stop": FINISH,
    "reboot": AGAIN,
    "chkpnt": KEEP,
    "set": REVERT,
}

UNSETTLED = ("set", "restored")  # what runs may not be what is noted


def load(registry: Registry) -> None:
    """Know every container that has a record; before the keeper tells who ended, so that nothing is forgotten."""
    paths = registry.world.paths
    for path in lockfile.sweep(paths):
        log.info("removed a stale lock: %s", path)
    records.sweep(paths)
    for ctid in records.recorded(paths):
        record = registry[ctid].record = records.load(paths, ctid) or _whatever_is_left(registry, ctid)
        if record.ids is not None:
            registry.world.leases.ours[ctid] = record.ids


def _whatever_is_left(registry: Registry, ctid: int) -> Record:
    """What a container may have on the machine that no record describes: to be released."""
    world = registry.world
    record = Record(ctid=ctid, intent="lost", host_if=world.paths.veth(ctid))
    try:
        config = world.load_config(ctid)
    except VzError:
        return record
    record.layout, record.private, record.root = config.layout, config.private, config.root
    record.addresses = [str(address) for address in config.addresses]
    return record


async def recover(registry: Registry, keeper: KeeperLink) -> Sequence[tuple[Container, "asyncio.Future[None]"]]:
    """Bring *registry* to the state of the machine, with the help of what *keeper* kept.

    A container whose checkpoint is still in CRIU's hands is left to a task of its own, which holds its lock, and
    so is one whose PID 1 does not answer: slow or hostile ones must not keep the others waiting.  Returns those.
    """
    patience = asyncio.get_running_loop().time() + PATIENCE
    leftovers.sweep_halves(registry.world.paths)
    await _settle_on_disk(registry)
    _find_lost(registry, keeper)
    slow, again = [], []
    for ct in registry.known():
        assert ct.record is not None
        if CUT_OFF.get(ct.record.intent) == AGAIN:
            again.append(ct)
        work = asyncio.ensure_future(_guarded(registry, ct, ct.record, keeper))
        if not ct.record.dump:
            left = max(patience - asyncio.get_running_loop().time(), 0)
            await asyncio.wait((work,), timeout=left)
        if not work.done():
            registry.background(work)
            slow.append((ct, work))
    paths = registry.world.paths
    in_flight = [path for ct in registry.known() if ct.record for path in (ct.record.dump, paths.dump(ct.ctid))]
    await asyncio.to_thread(leftovers.sweep, paths, in_flight)
    _forget_strays(registry, keeper)
    await venet.sweep()
    for ct in again:
        registry.background(asyncio.ensure_future(registry.start_again(ct)))
    if slow:
        log.info("taken over in the background: CT %s", " ".join(str(ct.ctid) for ct, _ in slow))
    return slow


async def _settle_on_disk(registry: Registry) -> None:
    """Containers that were being created or destroyed: their notes survive a loss of power, as records do not."""
    world = registry.world
    for path in sorted(glob.glob(f"{glob.escape(world.paths.conf_dir)}/*.conf.*")):
        number, _, kind = os.path.basename(path).partition(".conf.")
        if not number.isdigit() or kind not in ("creating", "destroying"):
            continue
        ctid = int(number)
        with about(ctid):
            try:
                if kind == "creating" and create.unscripted(world.paths, ctid):
                    await start.release(registry[ctid], to_log)  # it may be up for the script
                done = await (create if kind == "creating" else destroy).settle(world.paths, ctid, world.load_globals())
                log.info("cut off in the middle: %s; %s", kind, done)
            except (OSError, VzError) as error:
                log.error("%s stays as it is: %s", path, error)
            except Exception:
                log.exception("%s stays as it is", path)


def _find_lost(registry: Registry, keeper: KeeperLink) -> None:
    """Containers without a record of which there is something all the same: a cgroup, a process."""
    kept = {int(name.partition(":")[0]) for name in keeper.children}
    for ctid in {*registry.world.tree.ctids(), *kept}:
        ct = registry[ctid]
        if ct.record is None:
            ct.record = _whatever_is_left(registry, ctid)


async def _guarded(registry: Registry, ct: Container, record: Record, keeper: KeeperLink) -> None:
    """One container's trouble stays its own."""
    async with ct.acting("recovery", wait=True):
        try:
            await _one(registry, ct, record, keeper)
        except Exception:
            log.exception("recovery failed")
            await _make_the_best(ct, record)


async def _make_the_best(ct: Container, record: Record) -> None:
    """What runs goes on; anything else is released."""
    if ct.running and CUT_OFF.get(record.intent) in (KEEP, REVERT):
        return
    try:
        await start.release(ct, to_log)
    except Exception:
        log.exception("cannot be released either")


async def _one(registry: Registry, ct: Container, record: Record, keeper: KeeperLink) -> None:
    if record.dump:
        await _settle_checkpoint(registry, record)
    try:
        process = Process.reopen(record.pid, record.identity) if record.pid else None
    except OSError as error:  # no descriptors, no memory: that says nothing of the container
        log.error("it cannot be told whether it runs, and so it is left alone: %s", error)
        return
    fate = CUT_OFF.get(record.intent, UNDO)
    if process is None:
        await _without_init(registry, ct, record, keeper)
        return
    ct.born(process)
    if record.child_name not in keeper.children:
        # Our keeper is not its parent; it can still wait for the end, though not for the reason.
        keeper.child(record.child_name, process)
    if fate in (KEEP, REVERT):
        await _take_over(registry, ct, record)
        return
    log.info("cut off in the middle: %s; %s", record.intent, fate)
    if fate != AGAIN:
        await start.release(ct, to_log)


async def _settle_checkpoint(registry: Registry, record: Record) -> None:
    """A criu that the last daemon started is let finish: killed in the middle it would take the container along."""
    found = await state.settled(record.dump, record.root if is_mounted(record.root) else "")
    log.info("checkpoint: %s", found.phase.value)
    if record.intent == found.action == "restore" and found.phase is state.Phase.DONE:  # it runs by now, or has run
        record.intent, record.dump, record.pid, record.identity = "restored", "", found.pid, found.identity
        record.try_save(registry.world.paths)
        if not found.pid:  # else whoever takes it over does that, once it is known that it runs
            await overtaken.forget(registry.world.paths, record.ctid)


async def _without_init(registry: Registry, ct: Container, record: Record, keeper: KeeperLink) -> None:
    """PID 1 is gone, or was never made."""
    fate, end = CUT_OFF.get(record.intent, UNDO), keeper.exits.get(record.child_name)
    if fate == AGAIN:
        return
    if record.intent == "" and not record.pid:
        log.info("mounted")
        return
    if fate in (KEEP, REVERT) and not record.dump:
        if end is None and record.child_name in keeper.children:
            ct.unborn()  # it ended a moment ago: the keeper is about to say how
            return
        if end is None and record.announced == "reboot":
            end = ChildExit(record.child_name, 0, 0)  # nobody saw how it ended
        if end is not None:
            ended = how_it_ended(ct, end)
            if ended.how == "reboot":
                ct.unborn()
                registry.child_ended(end)
                return
            if ended.how == "died":
                obituary.missed(registry, ct, ended.text)
    log.info("is down")
    await start.release(ct, to_log)


async def _take_over(registry: Registry, ct: Container, record: Record) -> None:
    """A running container: back to a working channel."""
    intent = record.intent
    if intent not in UNSETTLED:
        record.intent = record.dump = ""
    if intent == "restored" and ct.process is not None:
        if not record.started:
            restore.note_birth(ct, ct.process, Clocks.now())
        with suppress(OSError):
            record.peak = record.peak or stats.peak_of_processes(CtCgroup(registry.world.tree, ct.ctid))
    try:
        await asyncio.wait_for(_reconnect(registry, ct, record), REATTACH_TIMEOUT)
        log.info("taken over")
    except (OSError, TimeoutError, VzError) as error:
        log.error("runs, but its channel cannot be restored: %s", error)
    if not record.setup:
        ct.awake.begin()
        first_boot.go_on(ct)
    record.try_save(registry.world.paths)
    if intent in ("", "restored"):  # and perhaps a moment ago, by a daemon that came no further
        await overtaken.forget(registry.world.paths, ct.ctid)
    if intent in UNSETTLED:
        log.info("cut off in the middle: %s; made to agree with what is noted", intent)
        await apply.settle(ct, registry.world.load_config(ct.ctid))


async def _reconnect(registry: Registry, ct: Container, record: Record) -> None:
    """The channel that the keeper held, or a new one over vzinit's rescue listener."""
    held = registry.world.held.pop(record.link_name, None)
    if held is not None:
        link = InitLink(socket.socket(fileno=held.steal()), ct.on_event, ct.on_lost)
        ct.connect(link)
        try:
            await _use(ct, record, link)
            return
        except ChannelLost:
            log.warning("the channel that the keeper held is dead")
    await _use(ct, record, rescue.connect(ct))


async def _use(ct: Container, record: Record, link: InitLink) -> None:
    await link.ask("resume")
    pair = await link.ask("newpair")
    record.channel = pair.number("ino")
    ct.keep_link()
    await ct.fetch_words()


def _forget_strays(registry: Registry, keeper: KeeperLink) -> None:
    """The keeper need not keep what no record names."""
    records_ = [ct.record for ct in registry.known() if ct.record is not None]
    wanted = {record.child_name for record in records_} | {record.link_name for record in records_}
    for name in {*keeper.children, *keeper.exits, *keeper.held} - wanted:
        keeper.forget(name)
        stray = keeper.held.pop(name, None)
        if stray is None:
            continue
        if name.startswith("link:"):
            abandon(stray)
        else:
            stray.close()


def lay_out(paths: Paths) -> None:
    """The directories that a hostd needs at run time."""
    for directory in (paths.run_dir, paths.records_dir, paths.lock_dir, paths.dump_dir):
        os.makedirs(directory, exist_ok=True)
    os.chmod(paths.run_dir, 0o755)
    os.chmod(paths.records_dir, 0o700)
