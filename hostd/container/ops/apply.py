"""set on a running container: every change takes effect, or none does."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from ipaddress import ip_interface
from typing import NamedTuple

from hostd.cgroup.tree import CtCgroup
from hostd.config import live
from hostd.config.addresses import Interface
from hostd.config.model import CtConfig
from hostd.container import device_filter, device_nodes, devices, faults, furnish, inner_limits, scratch, socket_limits
from hostd.container.container import Container
from hostd.container.furnish import File
from hostd.container.host_side import check_masks, limits_of, set_limits
from hostd.container.init_link import InitLink
from hostd.container.ops import former, logins, undo
from hostd.container.ops.sessions import link_of
from hostd.container.ops.undo import Stays, Undo
from hostd.container.record import Record
from hostd.container.socket_limits import SocketLimits
from hostd.container.steps import whole
from hostd.errors import Exit, Failure, VzError
from hostd.kernel.fd import Fd
from hostd.log import log, timed
from hostd.userdata.logins import Logins


class LiveChange(NamedTuple):
    """From the running configuration to the wanted one; addresses as a difference of the kernel's truth.

    *texts*: what the container has of these keys then.  *logins* come last, when nothing else can fail any more.
    """

    old: CtConfig
    new: CtConfig
    add: tuple[Interface, ...]
    delete: tuple[Interface, ...]
    texts: Mapping[str, str] = {}
    logins: Logins = Logins()


async def apply(ct: Container, change: LiveChange, report: Callable[[str], None]) -> None:
    """Change a running *ct*.  On failure all that was changed is changed back.  What cannot be is told: by the failure,
    or, when it was cancelled, to *report*.
    """
    record, paths = ct.record, ct.world.paths
    assert record is not None
    undos: list[Undo] = []
    live, addresses = dict(record.live), record.addresses
    record.intent, record.setting = "set", dict(change.texts)
    record.trying = [str(address) for address in (*change.add, *change.delete)]
    try:
        record.save(paths)
        for step in (_limits, _sockets, _devices, _addresses, _names, _inner):
            name = step.__name__.strip("_")
            faults.point(f"set.{name}")
            with timed(f"set: {name}"):
                await whole(step(ct, change, undos))
        faults.point("set.logins")
        with timed("set: logins"):
            await logins.change(ct, change.logins)  # by a shell of the guest's, which may hang: so it can be cancelled
        faults.point("set.end")
        _remember(ct, change)
    except BaseException as error:
        record.live, record.addresses = live, addresses
        stays = await undo.take_back(undos, record)
        _settled(record)
        record.try_save(paths)
        if stays and isinstance(error, Exception):
            raise undo.failed(error, stays) from error
        if stays:
            report(f"Warning: {stays}")
        raise


def _settled(record: Record) -> None:
    record.intent, record.trying, record.setting, record.former = "", [], {}, {}


def _remember(ct: Container, change: LiveChange) -> None:
    """What runs now is what was asked for: from here on nothing is taken back."""
    record = ct.record
    assert record is not None
    present = {ip_interface(address).ip for address in record.addresses}
    wanted = present - {address.ip for address in change.delete} | {address.ip for address in change.add}
    record.addresses = [str(ip) for ip in sorted(wanted, key=lambda ip: (ip.version, ip))]
    record.live |= change.texts
    _settled(record)
    record.save(ct.world.paths)
    faults.point("set.remembered")


async def settle(ct: Container, config: CtConfig) -> None:
    """A change was cut off, or what follows a restore: make what runs agree with *config* and the record again."""
    record, world = ct.record, ct.world
    assert record is not None
    config = live.running(ct.ctid, config.raw, record.live, world.load_globals())
    cgroup = CtCgroup(world.tree, ct.ctid)
    try:
        await undo.limits(cgroup, limits_of(config, record))
    except Stays as stays:
        log.error("%s", stays.message)
        undo.keep(record, stays)
    await _as_far_as_it_goes(socket_limits.give(cgroup, record, socket_limits.of(config)))
    device_filter.protect(cgroup, devices.rules(config))
    present = {ip_interface(address).ip for address in record.addresses}
    with ct.netns() as netns:
        for address in map(ip_interface, record.trying):
            await world.network.delete(record.host_if, netns, address)
            if address.ip in present:
                await world.network.add(record.host_if, netns, address)
    if ct.link is not None and _may_have_named(record):
        await _settle_names(ct, ct.link, config)
    if ct.running:
        await _settle_inside(ct, config)
    _settled(record)
    record.try_save(world.paths)


def _may_have_named(record: Record) -> bool:
    """A `set` of other things has written no files inside: those may be the guest's by now."""
    return record.intent != "set" or bool(record.setting.keys() & furnish.SAID or record.trying)


async def _settle_names(ct: Container, link: InitLink, config: CtConfig) -> None:
    record = ct.record
    assert record is not None
    ours = [file for file in furnish.files(config) if not file.unless_set and file.path not in record.former]
    await _as_far_as_it_goes(former.put_back(ct, record.former), furnish.write_all(link, ours))
    named = config.hostname or furnish.HOSTNAME in record.former  # else what the guest calls itself is its own
    if named and former.UNAME not in record.former:
        await _as_far_as_it_goes(link.ask("hostname", name=furnish.hostname(config)))


async def _as_far_as_it_goes(*steps: Awaitable[object]) -> None:
    for text in await _each(*steps):
        log.error("part of a change that was cut off cannot be taken back: %s", text)


async def _each(*steps: Awaitable[object]) -> list[str]:
    """Have all of them done, whatever becomes of the others; what is to be said of those that failed."""
    told = []
    for step in steps:
        try:
            await step
        except (OSError, VzError) as error:
            told.append(undo.text(error))
    return told


async def _settle_inside(ct: Container, config: CtConfig) -> None:
    """As far as the guest has put nothing in the way.  A node more than there should be cannot be opened."""
    asked = dict(config.devnodes)
    await device_nodes.take_back(ct, [device for device in devices.of(config) if device.name in asked], ())
    await inner_limits.take_back(ct, config)
    await scratch.fit(ct)


async def _limits(ct: Container, change: LiveChange, undos: list[Undo]) -> None:
    assert ct.record is not None
    before, after = limits_of(change.old, ct.record), limits_of(change.new, ct.record)
    if before == after:
        return
    if (before.cpumask, before.nodemask) != (after.cpumask, after.nodemask):
        check_masks(change.new)
    cgroup = CtCgroup(ct.world.tree, ct.ctid)

    async def back() -> None:
        await undo.limits(cgroup, before, after)

    other_ram = before.ram != after.ram
    if other_ram:
        undos.append(partial(scratch.fit, ct))  # behind the next: it goes by the RAM that there is then
    undos.append(back)  # what has to stay of a set that is refused half-way, it tells
    await asyncio.to_thread(set_limits, cgroup, after, before)  # moving memory to swap takes seconds
    if other_ram:
        await scratch.fit(ct)


async def _sockets(ct: Container, change: LiveChange, undos: list[Undo]) -> None:
    """Sockets that are open stay: a limit below their number refuses new ones."""
    before, after = socket_limits.of(change.old), socket_limits.of(change.new)
    if before == after:
        return
    record, cgroup = ct.record, CtCgroup(ct.world.tree, ct.ctid)
    assert record is not None

    async def give(limits: SocketLimits) -> None:
        await socket_limits.give(cgroup, record, limits)
        record.try_save(ct.world.paths)  # what was refused so far is counted nowhere else when limits end

    undos.append(partial(give, before))
    await give(after)


async def _devices(ct: Container, change: LiveChange, undos: list[Undo]) -> None:
    """What may be opened, and the nodes to open it by."""
    old, new = change.old, change.new
    if (old.devices, old.devnodes) == (new.devices, new.devnodes):
        return
    cgroup = CtCgroup(ct.world.tree, ct.ctid)
    gone, come = devices.difference(old, new)

    async def back() -> None:
        device_filter.protect(cgroup, devices.rules(old))
        if missing := await device_nodes.take_back(ct, gone, come):
            raise missing[0]

    undos.append(back)
    device_filter.protect(cgroup, devices.rules(new))
    await device_nodes.exchange(ct, gone, come)


async def _addresses(ct: Container, change: LiveChange, undos: list[Undo]) -> None:
    record = ct.record
    assert record is not None
    present = {ip_interface(address).ip for address in record.addresses}
    gone = [address for address in change.delete if address.ip in present]
    come = [address for address in change.add if address.ip not in present]
    if not gone and not come:
        return
    network = ct.world.network
    with ct.netns() as netns:
        for address in gone:
            await network.delete(record.host_if, netns, address)
            faults.point("set.address")
            undos.append(_reversal(ct, network.add, address))
        for address in come:
            await network.add(record.host_if, netns, address)
            faults.point("set.address")
            undos.append(_reversal(ct, network.delete, address))


def _reversal(ct: Container, act: Callable[[str, Fd, Interface], Awaitable[None]], address: Interface) -> Undo:
    async def back() -> None:
        assert ct.record is not None
        with ct.netns() as netns:
            await act(ct.record.host_if, netns, address)

    return back


async def _names(ct: Container, change: LiveChange, undos: list[Undo]) -> None:
    """Hostname, resolver and hosts file: written from inside."""
    old, new = change.old, change.new
    if changed := furnish.changed(old, new):
        link = link_of(ct)
        undos.append(await _files_as_before(ct, change, changed))
        await furnish.write_all(link, changed)
        faults.point("set.files")
        if old.hostname != new.hostname and new.hostname:
            await link.ask("hostname", name=new.hostname)


async def _files_as_before(ct: Container, change: LiveChange, changed: list[File]) -> Undo:
    """The reversal of writing *changed*.  What is there is on record before it is lost, for the next daemon, too."""
    record, link = ct.record, link_of(ct)
    assert record is not None
    whole_files = [file.path for file in changed if not file.mark]
    known = await former.look(ct, whole_files)
    if furnish.HOSTNAME in whole_files:
        known |= await former.called(ct)
    record.former = known
    record.save(ct.world.paths)
    written = {file.path for file in changed} - known.keys()
    originals = [file for file in furnish.changed(change.new, change.old) if file.path in written]
    lost = sorted(written - {file.path for file in originals})

    async def back() -> None:
        told = await _each(former.put_back(ct, known), furnish.write_all(link, originals))
        told += [f"it is not known what {path} was" for path in lost]
        if told:
            raise Failure(Exit.SYSTEM, "; ".join(told))

    return back


async def _inner(ct: Container, change: LiveChange, undos: list[Undo]) -> None:
    """Last: a limit of PID 1 that was lowered cannot be raised again everywhere."""
    rows, done = inner_limits.changed(change.old, change.new), set[str]()

    async def back() -> None:
        stays = await inner_limits.take_back(ct, change.old, rows)  # also the one that was refused half-way
        if known := {key: reason for key, reason in stays.items() if key in done}:
            raise Stays(known)

    undos.append(back)
    for row in rows:
        await inner_limits.apply(ct, change.new, (row,))
        done.add(row.key)
