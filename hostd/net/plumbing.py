"""What `venet` promises, done on the spot: blocking, one function per verb, all-or-nothing."""

import errno
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from hostd.errors import Exit, Failure
from hostd.kernel.fd import Fd
from hostd.kernel.namespace import socket_in_netns
from hostd.net import answers
from hostd.net import messages as m
from hostd.net.messages import Address
from hostd.net.netlink import NetlinkError, Request, Rtnl

GUEST_NAME = "venet0"
_RETIRED = "vzgone"  # followed by the index: a host end on its way out


def plug(
    host_name: str, ctid: int, addresses: Iterable[Address], sources: Iterable[Address], netns: Fd
) -> None:
    """Pair, addresses, routes: everything, or nothing of it and a Failure."""
    wanted = list(addresses)
    with Rtnl() as host, _as_failure():
        _refuse_taken(host, wanted)
        with _undone_on_error(host, host_name):
            with inside(netns) as guest:
                pair = m.new_pair(host_name, GUEST_NAME, mac(ctid), netns.fileno())
                end = _make(host, guest, pair, host_name)
                guest.run([m.up("lo", no_arp=False), m.no_link_local(GUEST_NAME), m.up(GUEST_NAME)])
                # Asked for one device, the kernel looks whether it is up (linkwatch_sync_dev, Linux 6.8).  Left alone,
                # a pair whose ends have the same index, as a host's first may, is UNKNOWN or DOWN for up to a second.
                guest.run([*_assign(end.peer, wanted), m.find(GUEST_NAME)])
            host.run([*_host_routes(end.index, host_name, wanted, list(sources)), m.find(host_name)])


def make_loose(
    host_name: str, guest_name: str, ctid: int, addresses: list[Address], sources: list[Address]
) -> None:
    """The pair with its CT end left in the host's namespace as *guest_name*, host side complete: for a
    restore.
    """
    with Rtnl() as host, _as_failure():
        _refuse_taken(host, addresses)
        with _undone_on_error(host, host_name):
            end = _make(host, host, m.new_pair(host_name, guest_name, mac(ctid), None), host_name)
            host.run([m.no_link_local(guest_name)])
            host.run(_host_routes(end.index, host_name, addresses, sources))


def retire(host_name: str) -> int | None:
    """Free the name and the routes of a host end at once; index of what is left to `delete`, None if nothing
    is.

    Deleting takes a grace period of the kernel (15-27 ms), renaming takes microseconds.
    """
    with Rtnl() as host, _as_failure():
        return _retire(host, host_name)


def delete(host: Rtnl, index: int) -> None:
    """Delete a retired host end.  It may be gone already, with its CT, and its index be another's."""
    if [link for link in map(answers.link, host.dump(m.all_links())) if _is_retired(link, index)]:
        host.run([m.delete(index, f"device {index}")])


def add_address(host_name: str, address: Address, source: Address | None, netns: Fd) -> None:
    with Rtnl() as host, inside(netns) as guest, _as_failure():
        _refuse_taken(host, [address])
        outer = _find(host, host_name)
        inner = _find(guest, GUEST_NAME)
        guest.run(list(_assign(inner.index, [address])))
        try:
            host.run(_host_routes(outer.index, host_name, [address], [source] if source else []))
        except NetlinkError:
            guest.run([m.del_address(inner.index, address)])
            raise


def del_address(host_name: str, address: Address, netns: Fd) -> None:
    """Idempotent: what is gone already, here or inside, is fine."""
    with Rtnl() as host, inside(netns) as guest, _as_failure():
        for link in _found(host, host_name):
            host.run([m.del_route(link.index, host_name, address)])
        for link in _found(guest, GUEST_NAME):
            guest.run([m.del_address(link.index, address)])


def readdress(netns: Fd, come: Iterable[Address], gone: Iterable[Address]) -> None:
    """Inside only.  With its last address of a family a device would lose its routes, so *gone* goes last."""
    with inside(netns) as guest, _as_failure():
        index = _find(guest, GUEST_NAME).index
        guest.run([*_assign(index, list(come)), *(m.del_address(index, address) for address in gone)])


def host_ends() -> list[str]:
    """Names of all host ends in this network namespace, of whatever installation; not the retired ones."""
    return [link.name for link in _ours() if not _is_retired(link, link.index)]


def retired() -> list[int]:
    """Host ends that a daemon renamed but did not live to delete."""
    return [link.index for link in _ours() if _is_retired(link, link.index)]


def sources_of(device: str) -> list[Address]:
    """The first global IPv4 and IPv6 address of *device*: what VE_ROUTE_SRC_DEV asks for."""
    with Rtnl() as host, _as_failure():
        index = _find(host, device).index
        found = [answers.assigned(data) for data in host.dump(m.addresses_of(index))]
    here = [a.address for a in found if a.index == index and a.scope == answers.SCOPE_UNIVERSE]
    return [next(a for a in here if a.version == v) for v in (4, 6) if any(a.version == v for a in here)]


# parts


def inside(netns: Fd) -> Rtnl:
    """A conversation with the network namespace *netns*."""
    try:
        return Rtnl(socket_in_netns(netns, socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE))
    except OSError as error:
        raise Failure(Exit.CANT_ADDIP, f"cannot reach the container's network: {error}") from error


def mac(ctid: int) -> str:
    """The MAC of both ends of a pair: locally administered, told apart by the CTID for those who look."""
    return ":".join(f"{byte:02x}" for byte in (0x02, 0x76, *(ctid & 0xFFFFFFFF).to_bytes(4, "big")))


def _make(host: Rtnl, guest: Rtnl, pair: Request, host_name: str) -> answers.Link:
    """The pair, host end up and protected; leftovers of an earlier life of this CT make way for it."""
    rest = [m.no_link_local(host_name), m.strict_source(host_name), m.up(host_name), m.find(host_name)]
    try:
        found = host.run([pair, *rest])
    except NetlinkError as error:
        if error.errno != errno.EEXIST:
            raise
        _retire(host, host_name)
        guest.run([m.delete(old.index, old.name) for old in _found(guest, GUEST_NAME)])
        found = host.run([pair, *rest])
    return answers.link(found[-1][0])


def _assign(index: int, addresses: list[Address]) -> Iterator[Request]:
    for address in addresses:
        yield m.add_address(index, address)
    for version in sorted({address.version for address in addresses}):
        yield m.default_route(index, version)


def _host_routes(index: int, name: str, addresses: list[Address], sources: list[Address]) -> list[Request]:
    source = {s.version: s for s in sources}
    return [m.add_route(index, name, a, source.get(a.version)) for a in addresses]


def _retire(host: Rtnl, name: str) -> int | None:
    ours = [link.index for link in _found(host, name) if link.group == m.GROUP]
    if not ours:
        return None
    (index,) = ours
    new_name = m.rename(index, name, f"{_RETIRED}{index}")
    try:
        routes = [answers.route(data) for version in (4, 6) for data in host.dump(m.our_routes(version, index))]
        gone = [m.del_route(index, name, r.to) for r in routes if r.to and r.index == index]
        host.run([*gone, new_name])
    except NetlinkError as error:
        if error.errno == errno.ENODEV:  # it went with the container's network namespace
            return None
        if error.errno != errno.EBUSY:
            raise
        host.run([m.down(index, name), new_name])  # before Linux 6.2 a device had to be down for that
    return index


def _refuse_taken(host: Rtnl, addresses: list[Address]) -> None:
    for address in addresses:
        if address.is_multicast or address.is_unspecified or address.is_loopback:
            raise Failure(Exit.BADIP, f"{address} cannot be the address of a container")
    for address, found in zip(addresses, host.run([m.who_has(a) for a in addresses]), strict=True):
        for way in map(answers.route, found):
            if way.kind == answers.RTN_LOCAL:
                raise Failure(Exit.IP_INUSE, f"IP address already in use: {address} belongs to this host")
            if way.kind != answers.RTN_UNICAST and way.length == address.max_prefixlen:
                raise Failure(Exit.BADIP, f"{address} is a broadcast address of this host's network")
            if way.protocol == m.PROTOCOL and way.length == address.max_prefixlen:
                raise Failure(
                    Exit.IP_INUSE, f"IP address already in use: {address} ({_name(host, way.index)})"
                )


def _name(host: Rtnl, index: int) -> str:
    return next(
        (link.name for link in map(answers.link, host.dump(m.all_links())) if link.index == index), "?"
    )


def _found(net: Rtnl, name: str) -> list[answers.Link]:
    return [answers.link(data) for data in net.run([m.find(name, optional=True)])[0]]


def _find(net: Rtnl, name: str) -> answers.Link:
    return answers.link(net.run([m.find(name)])[0][0])


def _is_retired(link: answers.Link, index: int) -> bool:
    return link.index == index and link.name == f"{_RETIRED}{index}"


def _ours() -> list[answers.Link]:
    with Rtnl() as host:
        return [link for link in map(answers.link, host.dump(m.all_links())) if link.group == m.GROUP]


@contextmanager
def _undone_on_error(host: Rtnl, name: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        index = _retire(host, name)
        if index is not None:
            host.run([m.delete(index, name)])
        raise


@contextmanager
def _as_failure() -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        if error.errno == errno.EEXIST and error.request.what.startswith("route "):
            raise Failure(
                Exit.IP_INUSE, f"IP address already in use: cannot {error.request.what}, it has a route"
            ) from error
        raise Failure(Exit.CANT_ADDIP, str(error)) from error
