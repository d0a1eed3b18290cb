"""set on a running container: every change takes effect, or none does."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_interface

from hostd.cgroup import limits
from hostd.cgroup.tree import CtCgroup
from hostd.config.addresses import Interface
from hostd.config.model import CtConfig
from hostd.container import faults, furnish
from hostd.container.container import Container
from hostd.container.host_side import limits_of
from hostd.container.ops.sessions import link_of
from hostd.kernel.fd import Fd
from hostd.kernel.namespace import namespace

Undo = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class LiveChange:
    """From the running configuration to the wanted one; addresses as a difference of the kernel's truth."""

    old: CtConfig
    new: CtConfig
    add: tuple[Interface, ...]
    delete: tuple[Interface, ...]


async def apply(ct: Container, change: LiveChange) -> None:
    """Change a running *ct*.  On failure all that was changed is changed back."""
    undos: list[Undo] = []
    try:
        for step in (_limits, _addresses, _names):
            faults.point(f"set.{step.__name__.strip('_')}")
            await step(ct, change, undos)
        faults.point("set.end")
    except BaseException:
        for undo in reversed(undos):
            await undo()
        raise


async def _limits(ct: Container, change: LiveChange, undos: list[Undo]) -> None:
    before, after = limits_of(change.old), limits_of(change.new)
    if before == after:
        return
    cgroup = CtCgroup(ct.world.tree, ct.ctid)

    async def back() -> None:
        limits.apply(cgroup, before, after)

    limits.apply(cgroup, after, before)
    undos.append(back)


async def _addresses(ct: Container, change: LiveChange, undos: list[Undo]) -> None:
    record = ct.record
    assert record is not None
    present = {ip_interface(address).ip for address in record.addresses}
    gone = [address for address in change.delete if address.ip in present]
    come = [address for address in change.add if address.ip not in present]
    network = ct.world.network
    with namespace(record.pid, "net") as netns:
        for address in gone:
            await network.delete(record.host_if, netns, address)
            undos.append(_reversal(ct, network.add, address))
        for address in come:
            await network.add(record.host_if, netns, address)
            undos.append(_reversal(ct, network.delete, address))
    if gone or come:
        left = present - {address.ip for address in gone}
        record.addresses = [str(ip) for ip in left] + [str(address.ip) for address in come]
        record.save(ct.world.paths)


def _reversal(ct: Container, act: Callable[[str, Fd, Interface], Awaitable[None]], address: Interface) -> Undo:
    async def back() -> None:
        assert ct.record is not None
        with namespace(ct.record.pid, "net") as netns:
            await act(ct.record.host_if, netns, address)

    return back


async def _names(ct: Container, change: LiveChange, undos: list[Undo]) -> None:
    """Hostname, resolver and hosts file: written from inside."""
    old, new = change.old, change.new
    before, after = furnish.files(old), furnish.files(new)
    changed = [file for file in after if file not in before and not file.unless_set]
    if changed:
        link = link_of(ct)
        originals = [file for file in before if file not in after and not file.unless_set]

        async def back() -> None:
            await furnish.write_all(link, originals)

        undos.append(back)
        await furnish.write_all(link, changed)
    if old.hostname != new.hostname and new.hostname:
        await link_of(ct).ask("hostname", name=new.hostname)
