"""The steps that the host takes for a container: user ids, storage, cgroups, network; and their undos."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from ipaddress import ip_interface

from hostd.cgroup import guarantees, limits, notes, seats
from hostd.cgroup.limits import Limits
from hostd.cgroup.tree import CtCgroup
from hostd.config import processors
from hostd.config.model import CtConfig
from hostd.container import device_filter, devices, faults, lease, mounts, socket_limits
from hostd.container.record import Record
from hostd.container.run import Run
from hostd.container.socket_limits import SocketLimits
from hostd.container.storage import layout_named, storage_spec
from hostd.errors import Exit, Failure
from hostd.kernel import topology
from hostd.kernel.mount import Propagation, is_mounted, mount_setattr, move_mount, umount
from hostd.kernel.namespace import userns
from hostd.storage.base import Layout, StorageSpec


async def take_lease(run: Run) -> None:
    note_network(run)
    await asyncio.to_thread(_take_lease, run)  # another hostd may hold the machine's lock


def _take_lease(run: Run) -> None:
    leases, ctid = run.world.leases, run.ct.ctid
    if run.configuration.privileged:
        run.save()
        return
    with leases.taken(but=ctid) as taken:
        count = lease.NESTING if run.configuration.nesting else lease.RANGE
        ids = leases.ours[ctid] = lease.lease(run.world.paths.tag, taken, lease.subuid(), count)
        run.record.uid_base, run.record.uid_count = ids.start, len(ids)
        run.save()


async def give_back(run: Run) -> None:
    run.world.leases.ours.pop(run.ct.ctid, None)
    run.record.remove(run.world.paths)


async def mount_storage(run: Run) -> None:
    """Open the storage and attach it at VE_ROOT: from then on the mount itself is what keeps it."""
    for line in await asyncio.to_thread(_mount_storage, run):
        run.report(line)
    run.save()


def _mount_storage(run: Run) -> tuple[str, ...]:
    """Returns what the user should know about it."""
    config = run.configuration
    spec = storage_spec(run.world.paths, config)
    layout = layout_named(config.layout)
    os.makedirs(config.root, exist_ok=True)
    if is_mounted(config.root):
        raise Failure(Exit.FS_CANTMOUNT, f"{config.root} is a mount point already; umount it first")
    run.record.layout, run.record.private, run.record.root = config.layout, config.private, config.root
    run.record.template_tree = spec.template_tree or ""
    run.save()
    faults.point("storage.noted")
    warnings = _fit(layout, spec)
    ids = None if layout.copies_can_be_mapped else run.record.ids
    with userns(ids.start, len(ids)) if ids is not None else nullcontext() as ns, layout.open(spec, ns) as opened:
        run.record.storage = opened.record()
        faults.point("storage.open")
        mount_setattr(opened.root, set=mounts.AT_VE_ROOT, propagation=Propagation.SHARED)
        move_mount(opened.root, config.root)
        faults.point("storage.attached")
    return warnings


def _fit(layout: Layout, spec: StorageSpec) -> tuple[str, ...]:
    """DISKSPACE may have been changed while the container ran.  What cannot be done is no reason not to start.

    A damaged disk is one: what is written to it as it is may cost all the rest.
    """
    try:
        layout.resize(spec)
    except Failure as failure:
        if failure.exit_code == Exit.RESOURCE:
            raise Failure(Exit.FS_CANTMOUNT, failure.message) from failure
        return (f"Warning: {failure.message}; the disk keeps its size",)
    return ()


async def flush_storage(run: Run) -> None:
    """What is on the disk before the last process ends, the unmount need not wait for.  Best effort."""
    if run.record.layout and run.record.root:
        with suppress(OSError):
            await asyncio.to_thread(layout_named(run.record.layout).flush, run.record.root)


async def unmount_storage(run: Run) -> None:
    await asyncio.to_thread(_unmount_storage, run)


def _unmount_storage(run: Run) -> None:
    rec = run.record
    while rec.root and is_mounted(rec.root):
        umount(rec.root, detach=True)
    faults.point("storage.unmounted")
    if rec.layout:
        layout = layout_named(rec.layout)
        layout.release(rec.private, rec.storage)


async def make_cgroup(run: Run) -> None:
    cgroup = run.cgroup
    cgroup.create(run.record.uid_base)
    faults.point("cgroup.made")
    device_filter.protect(cgroup, devices.rules(run.configuration))
    notes.born(cgroup, run.clocks.boottime, own=run.own_clocks is not None)


async def limit(run: Run) -> None:
    """After the storage: limits of I/O are limits at its device."""
    limit_cgroup(run)
    await limit_sockets(run, socket_limits.of(run.configuration))


def limit_cgroup(run: Run) -> None:
    check_masks(run.configuration)
    set_limits(run.cgroup, limits_of(run.configuration, run.record), limits.NONE)


async def limit_sockets(run: Run, wanted: SocketLimits) -> None:
    """Of a container that has none yet, or others."""
    if wanted != socket_limits.NONE:
        await socket_limits.give(run.cgroup, run.record, wanted)


def set_limits(cgroup: CtCgroup, wanted: Limits, previous: Limits | None = None) -> None:
    """As `limits.apply`, with what the host is left and what the container sees of it."""
    with _given(cgroup, wanted):
        limits.apply(cgroup, wanted, previous)


def take_back_limits(cgroup: CtCgroup, wanted: Limits, previous: Limits | None = None) -> dict[str, Failure]:
    """As `limits.take_back`, with what the host is left and what the container sees of it."""
    with _given(cgroup, wanted):
        return limits.take_back(cgroup, wanted, previous)


@contextmanager
def _given(cgroup: CtCgroup, wanted: Limits) -> Iterator[None]:
    """While it is given what it shall have, nobody moves it by what it had; when it has that, it is to be seen."""
    notes.seats(cgroup, "")
    yield
    cgroup.tree.share.look(cgroup.ctid)
    _show(cgroup, wanted)


def _show(cgroup: CtCgroup, wanted: Limits) -> None:
    notes.processors(cgroup, wanted.cpus)
    notes.seats(cgroup, (wanted.cpumask or topology.online("cpu")) if wanted.seats else "")
    notes.memory(cgroup, wanted.shown)


def check_masks(config: CtConfig) -> None:
    """Raises BadValue when *config* wants processors or memory nodes that this host has not."""
    processors.check("CPUMASK", config.cpumask)
    processors.check("NODEMASK", config.nodemask)


def limits_of(config: CtConfig, record: Record) -> Limits:
    """The part of the configuration that cgroups enforce."""
    device = _device(record)
    cpumask, nodemask = processors.masks(config.cpumask, config.nodemask)
    return Limits(
        ram=config.ram,
        swap=config.swap,
        cpuunits=config.cpuunits,
        cpulimit=config.cpulimit,
        cpus=config.cpus,
        numproc=config.numproc,
        cpumask=cpumask,
        seats=0 if config.cpumask == "all" else config.cpus,
        nodemask=nodemask,
        ioprio=config.ioprio,
        iolimit=config.iolimit if device else 0,
        iopslimit=config.iopslimit if device else 0,
        device=device,
        kept_low=config.vmguarpages or 0,
        kept_min=config.oomguarpages or 0,
        shown=config.meminfo,
    )


def _device(record: Record) -> str:
    """The number of the disk that is its own; "" when it has none."""
    path = record.storage.get("loop")
    if not path:
        return ""
    number = os.stat(path).st_rdev
    return f"{os.major(number)}:{os.minor(number)}"


async def remove_cgroup(run: Run) -> None:
    await asyncio.to_thread(_remove_cgroup, run)
    run.world.tree.share.look(run.ct.ctid)
    guarantees.settle(run.world.tree)
    await asyncio.to_thread(seats.settle, run.world.tree)


def _remove_cgroup(run: Run) -> None:
    cgroup = run.cgroup
    if cgroup.exists():
        cgroup.kill()
        cgroup.destroy()


def note_network(run: Run) -> None:
    """What the undo takes away; to be saved before any of it is there."""
    if run.setup:
        return
    run.record.host_if = run.world.paths.veth(run.ct.ctid)
    run.record.addresses = [str(address) for address in run.configuration.addresses]


async def plug_network(run: Run) -> None:
    with run.ct.netns() as netns:
        await run.world.network.plug(run.ct.ctid, run.record.host_if, run.configuration.addresses, netns)


async def unplug_network(run: Run) -> None:
    if run.record.host_if:
        addresses = [ip_interface(address).ip for address in run.record.addresses]
        await run.world.network.unplug(run.record.host_if, addresses)
