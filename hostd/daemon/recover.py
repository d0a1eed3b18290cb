"""After a crash: every container that runs is taken over, every operation that was cut off is finished or undone,
and what no container owns is removed.  Only the records and the kernel are asked.
"""

import asyncio
import os
import socket

from hostd.cgroup.tree import CtCgroup
from hostd.checkpoint import state
from hostd.config.paths import Paths
from hostd.container import record as records
from hostd.container.container import Container
from hostd.container.init_link import InitLink
from hostd.container.ops import start
from hostd.container.record import Record
from hostd.container.report import to_log
from hostd.daemon.keeper_link import ChildExit, KeeperLink
from hostd.daemon.registry import Registry, how_it_ended
from hostd.image import template
from hostd.kernel.namespace import namespace, socket_in_netns
from hostd.kernel.process import Process
from hostd.log import log
from hostd.net import venet
from hostd.storage import trash

RESCUE_ADDRESS = "\0vzinit"
REATTACH_TIMEOUT = 10.0  # seconds

# What the next daemon does with an operation that the last one left in the middle.  A start is undone (nobody was told
# that it worked); what was on its way down goes on down; anything else left the container running.
UNDO, FINISH, KEEP = "undo", "finish", "keep"
CUT_OFF = {
    "": KEEP,
    "start": UNDO,
    "restore": UNDO,
    "mount": UNDO,
    "umount": FINISH,
    "stop": FINISH,
    "reboot": FINISH,
    "chkpnt": KEEP,
}


def load(registry: Registry) -> None:
    """Know every container that has a record; before the keeper tells who ended, so that nothing is forgotten."""
    paths = registry.world.paths
    for ctid in records.recorded(paths):
        record = registry[ctid].record = records.load(paths, ctid)
        if record is None:  # of an earlier boot, or unreadable: nothing of it exists
            Record(ctid=ctid).remove(paths)


async def recover(registry: Registry, keeper: KeeperLink) -> None:
    """Bring *registry* to the state of the machine, with the help of what *keeper* kept.

    A container whose checkpoint is still in CRIU's hands is left to a task of its own, which holds its lock:
    one slow container must not keep the others waiting.
    """
    paths = registry.world.paths
    slow = []
    for ct in registry.known():
        assert ct.record is not None
        work = asyncio.ensure_future(_guarded(registry, ct, ct.record, keeper))
        if ct.record.dump:
            registry.background(work)
            slow.append(ct.ctid)
        else:
            await work
    await asyncio.to_thread(_sweep, registry, paths)
    _forget_strays(registry, keeper)
    await venet.sweep()
    if slow:
        log.info("waiting for CRIU in the background: CT %s", slow)


async def _guarded(registry: Registry, ct: Container, record: Record, keeper: KeeperLink) -> None:
    async with ct.acting("recovery", wait=True):
        try:
            await _one(registry, ct, record, keeper)
        except Exception:
            log.exception("recovery failed; releasing")
            await start.release(ct, to_log)


async def _one(registry: Registry, ct: Container, record: Record, keeper: KeeperLink) -> None:
    if record.dump:
        # A criu that the last daemon started is let finish: killed in the middle it would take the container along.
        log.info("checkpoint: %s", (await state.settled(record.dump)).phase.value)
    process = Process.reopen(record.pid, record.identity) if record.pid else None
    fate = CUT_OFF.get(record.intent, UNDO)
    if process is None:
        await _without_init(registry, ct, record, keeper.exits.get(record.child_name))
        return
    ct.born(process)
    if record.child_name not in keeper.children:
        # Our keeper is not its parent; it can still wait for the end, though not for the reason.
        keeper.child(record.child_name, process)
    if fate == KEEP:
        await _take_over(registry, ct, record)
        return
    log.info("cut off in the middle: %s; %s", record.intent, fate)
    await start.release(ct, to_log)


async def _without_init(registry: Registry, ct: Container, record: Record, end: ChildExit | None) -> None:
    """PID 1 is gone, or was never made."""
    if record.intent == "" and not record.pid:
        log.info("mounted")
        return
    if record.intent == "" and end is not None and how_it_ended(end.code, end.status).how == "reboot":
        ct.unborn()
        registry.child_ended(end)
        return
    log.info("is down")
    await start.release(ct, to_log)


async def _take_over(registry: Registry, ct: Container, record: Record) -> None:
    """A running container: back to a working channel."""
    record.intent = record.dump = ""
    record.save(registry.world.paths)
    try:
        await asyncio.wait_for(_reconnect(registry, ct, record), REATTACH_TIMEOUT)
        log.info("taken over")
    except (OSError, TimeoutError) as error:
        log.error("runs, but its channel cannot be restored: %s", error)


async def _reconnect(registry: Registry, ct: Container, record: Record) -> None:
    """The channel that the keeper held, or a new one over vzinit's rescue listener."""
    held = registry.world.held.pop(record.link_name, None)
    if held is not None:
        ct.connect(InitLink(socket.socket(fileno=held.steal()), ct.on_event, ct.on_lost))
    else:
        with namespace(record.pid, "net") as netns:
            end = socket_in_netns(netns, socket.AF_UNIX, socket.SOCK_SEQPACKET)
        end.connect(RESCUE_ADDRESS)
        ct.connect(InitLink(end, ct.on_event, ct.on_lost))
    assert ct.link is not None
    await ct.link.ask("resume")
    pair = await ct.link.ask("newpair")
    record.channel = pair.number("ino")
    ct.keep_link()
    await ct.fetch_words()
    record.save(registry.world.paths)


def _sweep(registry: Registry, paths: Paths) -> None:
    """Remove what belongs to no container with a record: cgroups, half-made private areas and templates."""
    tree = registry.world.tree
    owned = {ct.ctid for ct in registry.known()}
    for ctid in tree.ctids():
        if ctid not in owned:
            cgroup = CtCgroup(tree, ctid)
            log.warning("removing a cgroup that no container owns: %d", ctid)
            cgroup.kill()
            cgroup.destroy()
    trash.sweep(paths.vzrm_dir)
    trash.sweep_unfinished(paths.template_dir, [os.path.dirname(paths.private_default)], paths.vzrm_dir)
    template.sweep(paths)


def _forget_strays(registry: Registry, keeper: KeeperLink) -> None:
    """The keeper need not keep what no record names."""
    records_ = [ct.record for ct in registry.known() if ct.record is not None]
    wanted = {record.child_name for record in records_} | {record.link_name for record in records_}
    for name in {*keeper.children, *keeper.exits, *keeper.held} - wanted:
        keeper.forget(name)
    for fd in keeper.held.values():
        fd.close()
    keeper.held.clear()


def lay_out(paths: Paths) -> None:
    """The directories that a hostd needs at run time."""
    for directory in (paths.run_dir, paths.records_dir, paths.lock_dir, paths.dump_dir):
        os.makedirs(directory, exist_ok=True)
    os.chmod(paths.run_dir, 0o755)
    os.chmod(paths.records_dir, 0o700)
