"""venet: a routed, point-to-point network device per container, as OpenVZ's (docs/adr/003-venet.md).

Inside it is called `venet0`, has the container's addresses as /32 and /128 and the default route; on the host
each address is a route to the other end.  No ARP, no neighbour discovery, no broadcast.

The work runs in a worker thread: the kernel's rtnl lock may be held for tens of milliseconds by a dying
device.  The first call imports what writes messages (30 ms); `warm()` does it beforehand.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import NamedTuple

from hostd.kernel.fd import Fd
from hostd.log import log
from hostd.net import messages, plumbing
from hostd.net.netlink import Rtnl

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface

_undertaker = ThreadPoolExecutor(1, "venet-delete")  # one: deletions exclude each other anyway


class Venet(NamedTuple):
    """The network of one container.  The prefix lengths of *addresses* are not used: routed addresses stand
    alone.

    *sources*: address of the host, at most one per family, that its own packets to the container come from
    (`VE_ROUTE_SRC_DEV`, see `sources_of`).
    """

    ctid: int
    host_name: str
    addresses: tuple[Interface, ...] = ()
    sources: tuple[Address, ...] = ()

    @property
    def hosts(self) -> list[Address]:
        """The bare addresses, each once, in their order."""
        return list(dict.fromkeys(interface.ip for interface in self.addresses))


async def warm() -> None:
    """Import what plug() needs, off the event loop."""
    await asyncio.to_thread(messages.warm)


def nothing_else() -> None:
    """What follows where nothing does."""


async def plug(venet: Venet, netns: Fd, then: Callable[[], None] = nothing_else) -> None:
    """Give the container whose network namespace is *netns* its device, addresses and routes: all, or none of
    them.  *then* follows in the same thread: each change of threads waits for a turn on a busy processor.

    Raises Failure(IP_INUSE | BADIP | CANT_ADDIP) naming the step and the address.
    """

    def work() -> None:
        plumbing.plug(venet.host_name, venet.ctid, venet.hosts, venet.sources, netns)
        then()

    await asyncio.to_thread(work)


async def host_end(venet: Venet) -> tuple[str, str]:
    """The pair with both ends in the host's namespace, host side complete: (host_name, ct_end_name).

    For a restore: CRIU takes the second one in (`--external netdev[venet0]:NAME`) and sets its addresses and
    routes.
    """
    loose = "vc" + venet.host_name.removeprefix("ve")
    await asyncio.to_thread(
        lambda: plumbing.make_loose(venet.host_name, loose, venet.ctid, venet.hosts, list(venet.sources))
    )
    return venet.host_name, loose


async def unplug(host_name: str, then: Callable[[], None] = nothing_else) -> None:
    """Take the device away; idempotent.  Name and routes are free on return, the rest follows in the
    background.  *then* as with `plug`.
    """

    def work() -> None:
        index = plumbing.retire(host_name)
        if index is not None:
            _delete_later(index)
        then()

    await asyncio.to_thread(work)


async def add_address(host_name: str, netns: Fd, address: Interface, source: Address | None = None) -> None:
    """One more address for a running container.  Raises as `plug`."""
    await asyncio.to_thread(plumbing.add_address, host_name, address.ip, source, netns)


async def del_address(host_name: str, netns: Fd, address: Interface) -> None:
    """Take an address from a running container; idempotent."""
    await asyncio.to_thread(plumbing.del_address, host_name, address.ip, netns)


async def readdress(netns: Fd, *, come: Iterable[Address], gone: Iterable[Address]) -> None:
    """Other addresses inside, where the host's side has them already.  Raises as `plug`."""
    await asyncio.to_thread(plumbing.readdress, netns, list(come), list(gone))


async def sources_of(device: str) -> tuple[Address, ...]:
    """The addresses that VE_ROUTE_SRC_DEV=*device* means.  Raises Failure(CANT_ADDIP) without such a
    device.
    """
    return tuple(await asyncio.to_thread(plumbing.sources_of, device))


async def sweep() -> None:
    """After a crash: delete what an earlier daemon unplugged but did not live to delete."""
    for index in await asyncio.to_thread(plumbing.retired):
        _delete_later(index)


def _delete_later(index: int) -> None:
    host = Rtnl()  # opened here: the thread below may be older than the namespace we are in

    def work() -> None:
        try:
            with host:
                plumbing.delete(host, index)
        except OSError as error:
            log.warning("network device %d stays behind: %s", index, error)

    _undertaker.submit(work)


async def settled() -> None:
    """Everything unplugged so far is deleted (for tests and an orderly end)."""
    await asyncio.wrap_future(_undertaker.submit(lambda: None))
