"""restore: a checkpoint comes back to life, as the keeper's child, on a fresh channel.

Up to `revive` all of it is undone when it fails.  From then on the container runs and writes to its disk: the
checkpoint is no longer good for it, and whatever cannot be done is told, and ends nothing.
"""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from hostd.cgroup import notes, stats
from hostd.cgroup.tree import CtCgroup
from hostd.checkpoint import images_dir, saved
from hostd.checkpoint.restore import RestoreSpec
from hostd.checkpoint.restore import restore as criu_restore
from hostd.checkpoint.saved import Saved
from hostd.config import live
from hostd.config.model import CtConfig
from hostd.container import (
    faults,
    furnish,
    host_side,
    init_side,
    lease,
    overtaken,
    rescue,
    scripts,
    socket_limits,
)
from hostd.container.container import Container
from hostd.container.init_link import ChannelLost, InitLink, Message
from hostd.container.ops import meanwhile, start, undo
from hostd.container.record import Record
from hostd.container.report import Report
from hostd.container.run import Run
from hostd.container.steps import Step, run, together, unstoppable
from hostd.container.storage import container_root, let_go
from hostd.errors import AlreadyRunning, Exit, Failure, VzError
from hostd.kernel.clocks import Clocks
from hostd.kernel.fd import Fd
from hostd.kernel.process import Process
from hostd.log import log
from hostd.net import venet

INSIDE = "venet0"


@dataclass(kw_only=True)
class Resurrection(Run):
    """A run that begins with a checkpoint instead of an init: the one at *images*, of which *kept* is our part."""

    images: str
    kept: Saved
    settings: meanwhile.Settings
    device: str = ""  # the container's end of the venet pair, while it is on the host


async def take_saved_lease(run: Resurrection) -> None:
    """The images hold the host's ids: the container needs the very range it had."""
    await asyncio.to_thread(_take_saved_lease, run)


def _take_saved_lease(run: Resurrection) -> None:
    ids = run.kept.ids
    leases, ctid = run.world.leases, run.ct.ctid
    with leases.taken(but=ctid) as taken:
        if lease.blocks(taken) & lease.blocks([ids]):
            raise Failure(Exit.RESTORE, f"Restoring failed: its user ids {ids.start}.. are in use by another container")
        leases.ours[ctid] = ids
        run.record.uid_base, run.record.uid_count = ids.start, len(ids)
        run.save()


async def limit(run: Resurrection) -> None:
    """Sockets are only counted until those of the checkpoint are there: they may be more than are allowed now."""
    host_side.limit_cgroup(run)
    if socket_limits.of(run.configuration) != socket_limits.NONE:
        await host_side.limit_sockets(run, socket_limits.COUNTED)


async def prepare_network(run: Resurrection) -> None:
    """The pair with both ends on the host: CRIU takes the container's end in, with the addresses it had."""
    host_side.note_network(run)
    other = {*run.settings.had.addresses} ^ {*run.settings.wanted.addresses}
    run.record.trying = [str(address) for address in other]
    run.save()
    faults.point("network.noted")
    run.device = await run.world.network.pair(run.ct.ctid, run.record.host_if, run.configuration.addresses)


async def revive(run: Resurrection) -> None:
    """CRIU at work."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    ct, rec, world = run.ct, run.record, run.world
    rec.runtime, rec.openvz = run.kept.runtime, run.kept.openvz
    views = await world.views.ready()
    rec.views = bool(views)
    await world.sysinfo.begin()
    if rec.openvz:
        await world.note_openvz(ct)
    notes.spent(run.cgroup, *run.kept.spent)
    run.save()  # all that a daemon must know to take it over, should we die once it lives
    runtime = await asyncio.to_thread(_runtime, run)
    with ExitStack() as owned:
        root = owned.enter_context(await container_root(rec))
        own = await world.views.own(ct.ctid, openvz=rec.openvz)
        for tree in own.values():
            owned.enter_context(tree)
        into = run.cgroup.into()
        process = await criu_restore(
            RestoreSpec(
                images_dir=run.images,
                cache_dir=world.criu_cache,
                uid_base=rec.uid_base or 0,
                runtime=runtime,
                root=root,
                channel=owned.enter_context(Fd(theirs.detach(), "channel")),
                cgroups=tuple(run.cgroup.paths()),
                join=tuple(owned.enter_context(fd) for fd in run.cgroup.joins()),
                into=into and owned.enter_context(into),
                devices={INSIDE: run.device},
                views=views,
                own=own,
            )
        )
    faults.point("revive.alive")
    world.keeper.child(rec.child_name, process)
    faults.point("revive.told")
    rec.pid, rec.identity = process.pid, process.identity
    with suppress(OSError):  # it runs: what cannot be known ends nothing
        rec.peak = stats.peak_of_processes(run.cgroup)
    note_birth(ct, process, run.clocks)
    ct.born(process)
    ct.connect(InitLink(ours, ct.on_event, ct.on_lost))
    rec.intent, rec.dump = "restored", ""
    rec.try_save(world.paths)


def note_birth(ct: Container, process: Process, otherwise: Clocks) -> None:
    """When its uptime was 0, for all who tell it: its clocks go on where they were when it was saved."""
    assert ct.record is not None
    ct.record.began(otherwise.boottime)
    try:
        clocks = Clocks.of(process.pid)
    except OSError:  # it has ended already; who reaches for it hears why
        return
    zero = (clocks or otherwise).boottime
    notes.born(CtCgroup(ct.world.tree, ct.ctid), zero, own=clocks is not None)
    ct.record.began(zero)


def _runtime(run: Resurrection) -> str:
    try:
        return run.world.runtimes.at(run.record.runtime)
    except VzError as error:
        raise Failure(Exit.RESTORE, f"Restoring failed: {error.message}") from error


async def go_on(run: Resurrection) -> None:
    """It lives."""
    world, ct = run.world, run.ct
    with _as_far_as_it_goes(run, f"its checkpoint {world.paths.dump(ct.ctid)} must not be restored again, but stays"):
        await overtaken.forget(world.paths, ct.ctid)
    faults.point("restore.forgotten")
    with _as_far_as_it_goes(run, "its init does not answer"):
        await reach(run)
    faults.point("restore.reached")
    await catch_up(run)
    faults.point("restore.caught_up")
    run.record.intent, run.record.trying = "", []
    run.record.try_save(world.paths)
    if not ct.running:
        raise Failure(Exit.RESTORE, "Restoring failed: it came back, and has ended at once")
    ct.awake.begin()


async def reach(run: Resurrection) -> None:
    """PID 1 makes a channel that the next dump can save, and goes on."""
    try:
        link, pair = await _new_pair(run.ct.link)
    except ChannelLost:  # saved without one: its hostd was killed in the middle of the dump
        link, pair = await _new_pair(rescue.connect(run.ct))
    run.record.channel = pair.number("ino")
    run.ct.keep_link()
    faults.point("reach.held")
    await run.ct.fetch_words()
    link.tell("resume")


async def _new_pair(link: InitLink | None) -> tuple[InitLink, Message]:
    if link is None:
        raise ChannelLost("newpair")
    return link, await link.ask("newpair")


async def catch_up(run: Resurrection) -> None:
    """What was set meanwhile: the host's side has most of it by now, inside is as it was."""
    these = run.settings
    before, after = these.had, these.wanted
    with _as_far_as_it_goes(run, "limits stay as they were saved"):
        await meanwhile.limit(run, these)
    with _as_far_as_it_goes(run, "sockets are not limited"):
        await host_side.limit_sockets(run, socket_limits.of(after))
    with _as_far_as_it_goes(run, "devices stay as they were saved"):
        await meanwhile.give_devices(run, these)
    with _as_far_as_it_goes(run, "limits inside stay as they were saved"):
        await meanwhile.limit_inside(run, these)
    had, has = {one.ip for one in before.addresses}, {one.ip for one in after.addresses}
    if had != has:
        with _as_far_as_it_goes(run, "inside are the addresses that were saved"), run.ct.netns() as netns:
            await venet.readdress(netns, come=has - had, gone=had - has)
    if run.ct.link is None:
        return
    with _as_far_as_it_goes(run, "files inside stay as they were saved"):
        await furnish.write_all(run.ct.link, furnish.changed(before, after))
    if after.hostname not in ("", before.hostname):
        with _as_far_as_it_goes(run, "it is called as it was saved"):
            await run.ct.link.ask("hostname", name=after.hostname)


@contextmanager
def _as_far_as_it_goes(run: Resurrection, otherwise: str) -> Iterator[None]:
    """What fails here is told, while there is somebody to whom it matters."""
    try:
        yield
    except (OSError, VzError) as error:
        log.error("restored, but %s: %s", otherwise, error)
        if run.ct.running:
            run.report(f"Warning: {otherwise}: {undo.text(error)}")


STEPS = (
    Step[Resurrection]("lease", take_saved_lease, host_side.give_back),
    Step[Resurrection]("premount", scripts.premount, scripts.postumount, stops=True),
    together(
        "ground",
        Step[Resurrection]("storage", host_side.mount_storage, host_side.unmount_storage),
        Step[Resurrection]("cgroup", host_side.make_cgroup, host_side.remove_cgroup),
    ),
    Step[Resurrection]("limits", limit),
    Step[Resurrection]("mount", scripts.mount, scripts.umount, stops=True),
    Step[Resurrection]("network", prepare_network, host_side.unplug_network),
    Step[Resurrection]("revive", revive, init_side.kill_init, seals=True),
)


async def restore(ct: Container, config: CtConfig, path: str, report: Report) -> None:
    """Bring the checkpoint *path* back.  When that fails it is still there and can be restored again, unless the
    container has run.
    """
    if ct.running:
        raise AlreadyRunning("Container is already running")
    if not images_dir.exists(path):
        raise Failure(Exit.RESTORE, f"Restoring failed: there is no checkpoint in {path}")
    if not os.path.isdir(config.private):
        raise Failure(Exit.FS_NOPRVT, f"Container private area {config.private} does not exist")
    report("Restoring container ...")
    await start.release(ct, report)
    kept = saved.load(path)
    wanted = live.resumed(kept.settings, kept.configured, live.texts(config, ct.world.load_globals()))
    most, _ = kept.counted.get("numproc", (0, 0))
    these = meanwhile.settings(kept.settings, wanted, most, lambda texts: _with(ct, config, texts))
    with images_dir.hold(path):  # nobody must take what an earlier one has left for what this one does
        images_dir.forget_restore(path)
    ct.record = Record(ctid=ct.ctid, intent="restore", dump=path, live=wanted, counted=kept.counted)
    this = Resurrection(ct, ct.record, report, these.first, images=path, kept=kept, settings=these)
    report("\tundump...")
    try:
        await run("restore", STEPS, this)
    except BaseException:
        ct.buried()
        if images_dir.has_run(path):
            await overtaken.forget(ct.world.paths, ct.ctid)
        await let_go(this.record)
        raise
    report("\tresume...")
    await unstoppable(go_on(this))
    report("Container start in progress...")
    report("Restoring completed successfully")


def _with(ct: Container, config: CtConfig, running: live.Texts) -> CtConfig:
    return live.running(ct.ctid, config.raw, running, ct.world.load_globals())
