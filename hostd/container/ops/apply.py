"""set on a running container: every change takes effect, or none does."""

from collections.abc import Awaitable, Callable

from hostd.cgroup import limits
from hostd.cgroup.tree import CtCgroup
from hostd.config.addresses import Interface
from hostd.config.model import CtConfig
from hostd.container import faults, furnish
from hostd.container.container import Container
from hostd.container.ops.sessions import link_of
from hostd.container.ops.start import limits_of
from hostd.container.report import Report
from hostd.kernel.fd import Fd
from hostd.kernel.namespace import namespace

Undo = Callable[[], Awaitable[None]]


async def apply(ct: Container, old: CtConfig, new: CtConfig, report: Report) -> None:
    """Take a running *ct* from *old* to *new*.  On failure all that was changed is changed back."""
    undos: list[Undo] = []
    try:
        for step in (_limits, _addresses, _names):
            faults.point(f"set.{step.__name__.strip('_')}")
            await step(ct, old, new, undos)
        faults.point("set.end")
    except BaseException:
        for undo in reversed(undos):
            await undo()
        raise


async def _limits(ct: Container, old: CtConfig, new: CtConfig, undos: list[Undo]) -> None:
    before, after = limits_of(old), limits_of(new)
    if before == after:
        return
    cgroup = CtCgroup(ct.world.tree, ct.ctid)

    async def back() -> None:
        limits.apply(cgroup, before, after)

    limits.apply(cgroup, after, before)
    undos.append(back)


async def _addresses(ct: Container, old: CtConfig, new: CtConfig, undos: list[Undo]) -> None:
    record = ct.record
    assert record is not None
    gone = [address for address in old.addresses if address not in new.addresses]
    come = [address for address in new.addresses if address not in old.addresses]
    network = ct.world.network
    with namespace(record.pid, "net") as netns:
        for address in gone:
            await network.delete(record.host_if, netns, address)
            undos.append(_reversal(ct, network.add, address))
        for address in come:
            await network.add(record.host_if, netns, address)
            undos.append(_reversal(ct, network.delete, address))
    if gone or come:
        record.addresses = [str(address) for address in new.addresses]
        record.save(ct.world.paths)


def _reversal(ct: Container, act: Callable[[str, Fd, Interface], Awaitable[None]], address: Interface) -> Undo:
    async def back() -> None:
        assert ct.record is not None
        with namespace(ct.record.pid, "net") as netns:
            await act(ct.record.host_if, netns, address)

    return back


async def _names(ct: Container, old: CtConfig, new: CtConfig, undos: list[Undo]) -> None:
    """Hostname, resolver and hosts file: written from inside."""
    before, after = set(furnish.files(old, ct.world)), set(furnish.files(new, ct.world))
    changed = [file for file in furnish.files(new, ct.world) if file in after - before and not file.unless_set]
    if changed:
        link = link_of(ct)
        originals = [file for file in before - after if not file.unless_set]

        async def back() -> None:
            await furnish.write_all(link, originals)

        undos.append(back)
        await furnish.write_all(link, changed)
    if old.hostname != new.hostname and new.hostname:
        await link_of(ct).ask("hostname", name=new.hostname)
