"""Addresses of containers on the host's own networks: the host answers ARP and neighbour solicitations for
them.

`NEIGHBOUR_DEVS` of vz.conf says where: `detect` (devices whose subnet holds the address), `all`, `list:eth0
eth1`, or `none`.  The truth is the kernel's table of proxy entries; nothing is stored.
"""

import asyncio
import socket
import struct
from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address, ip_network

from hostd.errors import BadValue, Exit, Failure
from hostd.net import answers
from hostd.net import messages as m
from hostd.net.messages import Address
from hostd.net.netlink import NetlinkError, Rtnl

DETECT = "detect"

_BROADCAST = b"\xff" * 6
_ALL_NODES = IPv6Address("ff02::1")
_ETH_ARP, _ETH_IPV6 = 0x0806, 0x86DD
_ICMPV6, _NEIGHBOUR_ADVERTISEMENT, _OVERRIDE, _TARGET_LINK = 58, 136, 0x20000000, 2


async def announce(addresses: Iterable[Address], devices: str = DETECT) -> None:
    """Answer for *addresses* on the devices that NEIGHBOUR_DEVS=*devices* means, and tell the neighbours now.

    Raises BadValue for another *devices*, Failure(CANT_ADDIP) when the kernel refuses.
    """
    await asyncio.to_thread(announce_now, list(addresses), devices)


async def withdraw(addresses: Iterable[Address]) -> None:
    """Stop answering, on whatever device; idempotent.

    Not for an address that is still routed by itself: a start that was refused because the address is another
    container's, or a virtual machine's, must not take that one off the network.
    """
    await asyncio.to_thread(withdraw_now, list(addresses))


def announce_now(addresses: Sequence[Address], devices: str) -> None:
    """`announce`, for who is in a worker thread already."""
    with Rtnl() as host:
        assigned = [answers.assigned(data) for data in host.dump(m.addresses_of(0))]
        links = [link for link in map(answers.link, _links(host, addresses, assigned, devices)) if _can_answer(link)]
        pairs = [(a, link) for a in addresses for link in choose(a, links, assigned, devices)]
        try:
            host.run([m.proxy(address, link.index, link.name) for address, link in pairs])
        except NetlinkError as error:
            raise Failure(Exit.CANT_ADDIP, str(error)) from error
    for address, link in pairs:
        if address.version == 6:
            _proxy_ndp(link.name)
        _tell(address, link)


def _links(
    host: Rtnl, addresses: Sequence[Address], assigned: Sequence[answers.Assigned], devices: str
) -> Iterable[bytes]:
    """The devices to choose from; all of them only if need be, since each container has one, too."""
    if devices not in (DETECT, ""):
        return host.dump(m.all_links())
    near = set().union(*(_around(address, assigned) for address in addresses))
    return (data for found in host.run([m.at(index) for index in near]) for data in found)


def withdraw_now(addresses: Sequence[Address]) -> None:
    """`withdraw`, for who is in a worker thread already."""
    wanted = set(addresses)
    with Rtnl() as host:
        found = [answers.proxied(data) for version in (4, 6) for data in host.dump(m.proxies(version))]
        unused = {address for address in {a for a, _ in found} & wanted if not _routed(host, address)}
        host.run([m.proxy(a, index, f"device {index}", add=False) for a, index in found if a in unused])


def _routed(host: Rtnl, address: Address) -> bool:
    """Has somebody a route to just this address?  Ours went with the device."""
    return any(answers.route(way).length == address.max_prefixlen for way in host.run([m.who_has(address)])[0])


def choose(
    address: Address, links: Sequence[answers.Link], assigned: Sequence[answers.Assigned], devices: str
) -> list[answers.Link]:
    """The *links* on which the host shall answer for *address*; pure."""
    if devices in ("all", "none"):
        return list(links) if devices == "all" else []
    if devices.startswith("list:"):
        names = devices.removeprefix("list:").split()
        return [link for link in links if link.name in names]
    if devices not in (DETECT, ""):
        raise BadValue(f"NEIGHBOUR_DEVS={devices}: must be detect, all, none or list:DEVICE DEVICE...")
    subnets = _around(address, assigned)
    return [link for link in links if link.index in subnets]


def _around(address: Address, assigned: Sequence[answers.Assigned]) -> set[int]:
    """The devices that have *address* in a subnet of theirs."""
    return {a.index for a in assigned if address in ip_network((a.address, a.prefix), strict=False)}


def _can_answer(link: answers.Link) -> bool:
    mute = answers.IFF_NOARP | answers.IFF_LOOPBACK | answers.IFF_POINTOPOINT
    plain = bool(link.flags & answers.IFF_UP) and not link.flags & mute and not link.master
    return plain and link.group != m.GROUP and len(link.mac) == 6


def _proxy_ndp(device: str) -> None:
    """IPv6 looks at its proxy entries only where this is on."""
    with open(f"/proc/sys/net/ipv6/conf/{device}/proxy_ndp", "w", encoding="ascii") as file:
        file.write("1")


def _tell(address: Address, link: answers.Link) -> None:
    """Update the neighbours' tables, which may still hold the machine that the container moved away from."""
    frame, kind = (gratuitous_arp, _ETH_ARP) if address.version == 4 else (unsolicited_na, _ETH_IPV6)
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
            sock.bind((link.name, kind))
            sock.send(frame(address, link.mac))
    except OSError:
        pass  # a courtesy: they ask again when their entry ages


def gratuitous_arp(address: Address, mac: bytes) -> bytes:
    """An Ethernet frame that says to all: *address* is at *mac* (RFC 5227, section 3: an ARP request for
    itself).
    """
    head = _BROADCAST + mac + struct.pack("!H", _ETH_ARP)
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + address.packed + bytes(6) + address.packed
    return head + body


def unsolicited_na(address: Address, mac: bytes) -> bytes:
    """The same for IPv6: a neighbour advertisement to all nodes, with the override flag (RFC 4861, 7.2.6)."""
    multicast = b"\x33\x33" + _ALL_NODES.packed[-4:]
    option = struct.pack("!BB", _TARGET_LINK, 1) + mac
    icmp = struct.pack("!BBHI", _NEIGHBOUR_ADVERTISEMENT, 0, 0, _OVERRIDE) + address.packed + option
    pseudo = address.packed + _ALL_NODES.packed + struct.pack("!II", len(icmp), _ICMPV6)
    icmp = icmp[:2] + struct.pack("!H", checksum(pseudo + icmp)) + icmp[4:]
    ip = struct.pack("!IHBB", 0x60000000, len(icmp), _ICMPV6, 255) + address.packed + _ALL_NODES.packed
    return multicast + mac + struct.pack("!H", _ETH_IPV6) + ip + icmp


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
