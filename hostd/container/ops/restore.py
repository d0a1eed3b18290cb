"""restore: a checkpoint comes back to life, as the keeper's child, on a fresh channel."""

import asyncio
import os
import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from hostd.cgroup import notes
from hostd.checkpoint import images_dir
from hostd.checkpoint.restore import (
    RestoreSpec,
    saved_counters,
    saved_ids,
    saved_openvz,
    saved_runtime,
    saved_settings,
)
from hostd.checkpoint.restore import restore as criu_restore
from hostd.config import live
from hostd.config.model import CtConfig, effective
from hostd.container import (
    faults,
    furnish,
    host_side,
    init_side,
    lease,
    rescue,
    scripts,
    socket_limits,
)
from hostd.container.container import Container
from hostd.container.init_link import ChannelLost, InitLink, Message
from hostd.container.ops import meanwhile, start
from hostd.container.record import Record
from hostd.container.report import Report
from hostd.container.run import Run
from hostd.container.steps import Step, run, together
from hostd.container.storage import container_root, let_go
from hostd.errors import AlreadyRunning, Exit, Failure, VzError
from hostd.kernel.clocks import Clocks
from hostd.kernel.fd import Fd
from hostd.net import venet

INSIDE = "venet0"


@dataclass
class Resurrection(Run):
    """A run that begins with a checkpoint instead of an init."""

    images: str = ""
    settings: meanwhile.Settings | None = None
    device: str = ""  # the container's end of the venet pair, while it is on the host


async def take_saved_lease(run: Resurrection) -> None:
    """The images hold the host's ids: the container needs the very range it had."""
    await asyncio.to_thread(_take_saved_lease, run)


def _take_saved_lease(run: Resurrection) -> None:
    ids = saved_ids(run.images)
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
    run.save()
    faults.point("network.noted")
    run.device = await run.world.network.pair(run.ct.ctid, run.record.host_if, run.configuration.addresses)


async def revive(run: Resurrection) -> None:
    """CRIU at work."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    ct, rec, world = run.ct, run.record, run.world
    rec.runtime = saved_runtime(run.images)
    views = await world.views.ready()
    rec.views = bool(views)
    await world.sysinfo.begin()
    rec.openvz = saved_openvz(run.images)
    if rec.openvz:
        await world.note_openvz(ct)
    runtime = await asyncio.to_thread(_runtime, run)
    with ExitStack() as owned:
        root = owned.enter_context(await container_root(rec))
        proc = await world.views.openvz(ct.ctid) if rec.openvz else None
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
                proc=proc and owned.enter_context(proc),
            )
        )
    faults.point("revive.alive")
    world.keeper.child(rec.child_name, process)
    faults.point("revive.told")
    rec.pid, rec.identity = process.pid, process.identity
    with suppress(FileNotFoundError):  # it has ended already; who reaches for it hears why
        clocks = Clocks.of(process.pid)  # that go on where they were when it was saved
        notes.born(run.cgroup, (clocks or run.clocks).boottime, own=clocks is not None)
    ct.born(process)
    ct.connect(InitLink(ours, ct.on_event, ct.on_lost))
    run.save()


def _runtime(run: Resurrection) -> str:
    try:
        return run.world.runtimes.at(run.record.runtime)
    except VzError as error:
        raise Failure(Exit.RESTORE, f"Restoring failed: {error.message}") from error


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
    run.save()


async def _new_pair(link: InitLink | None) -> tuple[InitLink, Message]:
    if link is None:
        raise ChannelLost("newpair")
    return link, await link.ask("newpair")


async def catch_up(run: Resurrection) -> None:
    """What was set meanwhile: the host's side has most of it by now, inside is as it was."""
    these = run.settings
    assert these is not None
    before, after = these.had, these.wanted
    await meanwhile.limit(run, these)
    await host_side.limit_sockets(run, socket_limits.of(after))
    meanwhile.give_devices(run, these)
    meanwhile.limit_inside(run, these)
    if run.ct.link is None:
        return
    had, has = {one.ip for one in before.addresses}, {one.ip for one in after.addresses}
    if had != has:
        with run.ct.netns() as netns:
            await venet.readdress(netns, come=has - had, gone=had - has)
    await furnish.write_all(run.ct.link, furnish.changed(before, after))
    if after.hostname not in ("", before.hostname):
        await run.ct.link.ask("hostname", name=after.hostname)


async def commit(run: Resurrection) -> None:
    run.record.started = time.clock_gettime(time.CLOCK_BOOTTIME)
    run.record.intent = run.record.dump = ""
    run.save()
    run.ct.awake.begin()


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
    Step[Resurrection]("revive", revive, init_side.kill_init),
    Step[Resurrection]("reach", reach),
    Step[Resurrection]("settings", catch_up),
    Step[Resurrection]("commit", commit),
)


async def restore(ct: Container, config: CtConfig, path: str, report: Report) -> None:
    """Bring the checkpoint *path* back; when that fails it is still there, and can be restored again."""
    if ct.running:
        raise AlreadyRunning("Container is already running")
    if not images_dir.exists(path):
        raise Failure(Exit.RESTORE, f"Restoring failed: there is no checkpoint in {path}")
    if not os.path.isdir(config.private):
        raise Failure(Exit.FS_NOPRVT, f"Container private area {config.private} does not exist")
    report("Restoring container ...")
    await start.release(ct, report)
    saved, wanted = _settings(ct, config, path)
    counted = saved_counters(path)
    most, _ = counted.get("numproc", (0, 0))
    these = meanwhile.settings(saved, wanted, most, lambda texts: _with(ct, config, texts))
    ct.record = Record(ctid=ct.ctid, intent="restore", dump=path, live=wanted, counted=counted)
    this = Resurrection(ct, ct.record, report, these.first, images=path, settings=these)
    report("\tundump...")
    try:
        await run("restore", STEPS, this)
    except BaseException:
        ct.buried()
        await let_go(this.record)
        raise
    report("\tresume...")
    report("Container start in progress...")
    report("Restoring completed successfully")


def _settings(ct: Container, config: CtConfig, path: str) -> tuple[dict[str, str], dict[str, str]]:
    """What the container ran with (nothing in an old checkpoint), and what it is to run with."""
    settings, configured = saved_settings(path)
    return settings, live.resumed(settings, configured, live.texts(config, ct.world.load_globals()))


def _with(ct: Container, config: CtConfig, running: live.Texts) -> CtConfig:
    return effective(ct.ctid, live.over(config.raw, running), ct.world.load_globals())
