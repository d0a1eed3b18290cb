"""What the kernel answers to `messages`: links, addresses, routes, proxy entries, decoded by hand."""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from hostd.net.netlink import attributes

Address = IPv4Address | IPv6Address

# linux/if_link.h, linux/if.h, linux/if_addr.h, linux/rtnetlink.h, linux/neighbour.h
IFLA_ADDRESS, IFLA_IFNAME, IFLA_LINK, IFLA_MASTER, IFLA_GROUP = 1, 3, 5, 10, 27
IFF_UP, IFF_LOOPBACK, IFF_POINTOPOINT, IFF_NOARP = 0x1, 0x8, 0x10, 0x80
IFA_ADDRESS, IFA_LOCAL = 1, 2
RTA_DST, RTA_OIF = 1, 4
RTN_UNICAST, RTN_LOCAL = 1, 2
SCOPE_UNIVERSE = 0
NDA_DST = 1


@dataclass(frozen=True, slots=True)
class Link:
    index: int
    name: str
    flags: int
    group: int
    peer: int  # index of the other end of a pair, in its own namespace; 0 = none
    master: int  # index of the bridge or bond this is a port of; 0 = none
    mac: bytes


def link(payload: bytes) -> Link:
    index, flags = struct.unpack_from("=iI", payload, 4)
    found = attributes(payload, 16)

    def number(kind: int) -> int:
        return int(struct.unpack("=I", found[kind])[0]) if kind in found else 0

    name = found[IFLA_IFNAME].rstrip(b"\0").decode()
    mac = found.get(IFLA_ADDRESS, b"")
    return Link(index, name, flags, number(IFLA_GROUP), number(IFLA_LINK), number(IFLA_MASTER), mac)


@dataclass(frozen=True, slots=True)
class Assigned:
    """An address of a device, with the length of its subnet's prefix in bits."""

    index: int
    address: Address
    prefix: int
    scope: int


def assigned(payload: bytes) -> Assigned:
    _, prefix, _, scope, index = struct.unpack_from("=BBBBI", payload)
    found = attributes(payload, 8)
    return Assigned(index, ip_address(found.get(IFA_LOCAL) or found[IFA_ADDRESS]), prefix, scope)


@dataclass(frozen=True, slots=True)
class Route:
    to: Address | None  # None: default
    length: int  # of the destination prefix, bits
    index: int  # of the device; 0 = none
    protocol: int
    kind: int  # RTN_*


def route(payload: bytes) -> Route:
    _, length, _, _, _, protocol, _, kind = struct.unpack_from("=8B", payload)
    found = attributes(payload, 12)
    index = int(struct.unpack("=I", found[RTA_OIF])[0]) if RTA_OIF in found else 0
    return Route(ip_address(found[RTA_DST]) if RTA_DST in found else None, length, index, protocol, kind)


def proxied(payload: bytes) -> tuple[Address, int]:
    """Address and device index of one entry of `proxies`."""
    index = int(struct.unpack_from("=i", payload, 4)[0])
    return ip_address(attributes(payload, 12)[NDA_DST]), index
