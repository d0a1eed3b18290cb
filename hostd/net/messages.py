"""The rtnetlink messages that routed containers need, encoded by pyroute2 (answers: `answers`).

pyroute2 encodes a message in 30-100 us but needs a millisecond to decode a link, and its own request cycle
costs 0.7 ms: so it writes the messages, and `netlink` carries them.  The first message imports it (`formats`).
"""

import errno
import struct
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from socket import AF_INET, AF_INET6

from hostd.net.formats import formats
from hostd.net.netlink import Request

Address = IPv4Address | IPv6Address

GROUP = 0x767A  # "vz": interface group of every host end; what firewall rules and sweeps go by
PROTOCOL = 118  # "v": rtm_protocol of every route of ours; a number nobody else uses

# linux/netlink.h
REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
EXCL, CREATE = 0x200, 0x400
# linux/rtnetlink.h
NEWLINK, DELLINK, GETLINK = 16, 17, 18
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26
NEWNEIGH, DELNEIGH, GETNEIGH = 28, 29, 30
RTA_OIF = 4
TABLE_MAIN = 254
SCOPE_UNIVERSE, SCOPE_LINK = 0, 253
RTN_UNICAST = 1
RTM_F_FIB_MATCH = 0x2000
RTEXT_FILTER_SKIP_STATS = 8
# linux/if_link.h, linux/if.h, linux/if_addr.h, linux/neighbour.h
IFLA_IFNAME, IFLA_AF_SPEC = 3, 26
IFF_UP, IFF_NOARP = 0x1, 0x80
IN6_ADDR_GEN_MODE_NONE = 1
IFA_F_NODAD = 0x02
NTF_PROXY = 0x08
_IFI_INDEX = 20  # where ifi_index of struct ifinfomsg is in a message: after struct nlmsghdr, family and type
# IPV4_DEVCONF_RP_FILTER (linux/ip.h) = 1, strict: nested in IFLA_AF_SPEC/AF_INET/IFLA_INET_CONF
_STRICT_RP_FILTER = struct.pack("=HHHHI", 12, 1, 8, 8, 1)

_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EOPNOTSUPP)

Attribute = tuple[str, object]

# Encoding is most of what plugging a network costs, and a restart of a container says nearly the same again.
_kept = lru_cache(maxsize=4096)


def _encode(body: str, kind: int, flags: int, attrs: Sequence[Attribute], /, **fields: int) -> bytes:
    message = formats()[body]()
    message["header"]["type"] = kind
    message["header"]["flags"] = REQUEST | flags
    message["header"]["sequence_number"] = 0
    for name, value in fields.items():
        message[name] = value
    message["attrs"] = list(attrs)
    message.encode()
    return bytes(message.data)


def _link(kind: int, flags: int, attrs: Sequence[Attribute], /, **fields: int) -> bytes:
    return _encode("link", kind, flags, attrs, **fields)


def warm() -> None:
    """Import pyroute2 now rather than at the first message."""
    formats()


def family(address: Address) -> int:
    return AF_INET if address.version == 4 else AF_INET6


# links


@_kept
def new_pair(host: str, guest: str, mac: str, netns: int | None) -> Request:
    """A veth pair: *host* here, *guest* born in the namespace behind the descriptor *netns* (None: here too).

    Both ends have the same MAC and no ARP: the kernel then addresses every frame to the device's own MAC
    (arp_constructor, ndisc_constructor), which is the other end's, so the pair is a true point-to-point link.
    """
    peer: list[Attribute] = [("IFLA_IFNAME", guest), ("IFLA_ADDRESS", mac)]
    if netns is not None:
        peer.append(("IFLA_NET_NS_FD", netns))
    data = {"attrs": [("VETH_INFO_PEER", {"flags": IFF_NOARP, "change": IFF_NOARP, "attrs": peer})]}
    info = {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", data)]}
    attrs = [("IFLA_IFNAME", host), ("IFLA_ADDRESS", mac), ("IFLA_GROUP", GROUP), ("IFLA_LINKINFO", info)]
    message = _link(NEWLINK, ACK | CREATE | EXCL, attrs, flags=IFF_NOARP, change=IFF_NOARP)
    return Request(f"make the network device {host}", message)


@_kept
def no_link_local(name: str) -> Request:
    """No fe80 address when the device goes up: both ends would get the same one."""
    attrs = [("IFLA_IFNAME", name), _af_spec("AF_INET6", {"attrs": [_GEN_MODE_NONE]})]
    return Request(f"switch link-local addresses off on {name}", _link(NEWLINK, ACK, attrs), _NO_IPV6)


_GEN_MODE_NONE: Attribute = ("IFLA_INET6_ADDR_GEN_MODE", IN6_ADDR_GEN_MODE_NONE)


def _with_raw(message: bytes, kind: int, data: bytes) -> bytes:
    """*message* with one more attribute, for what pyroute2 can only decode."""
    aligned = message + bytes(-len(message) % 4)
    whole = aligned + struct.pack("=HH", 4 + len(data), kind) + data
    return struct.pack("=I", len(whole)) + whole[4:]


def _af_spec(name: str, value: object) -> Attribute:
    return ("IFLA_AF_SPEC", {"attrs": [(name, value)]})


@_kept
def strict_source(name: str) -> Request:
    """rp_filter=1 on *name*: the second line of defence for IPv4, should the firewall be flushed."""
    spec = struct.pack("=HH", 4 + len(_STRICT_RP_FILTER), AF_INET) + _STRICT_RP_FILTER
    message = _with_raw(_link(NEWLINK, ACK, [("IFLA_IFNAME", name)]), IFLA_AF_SPEC, spec)
    return Request(f"filter source addresses on {name}", message)


@_kept
def up(name: str, *, no_arp: bool = True) -> Request:
    flags = IFF_UP | (IFF_NOARP if no_arp else 0)
    message = _link(NEWLINK, ACK, [("IFLA_IFNAME", name)], flags=flags, change=flags)
    return Request(f"set the network device {name} up", message)


def down(index: int, what: str) -> Request:
    return Request(f"set {what} down", _link(NEWLINK, ACK, [], index=index, flags=0, change=IFF_UP))


def rename(index: int, old: str, new: str) -> Request:
    message = _with_raw(_of_device(index), IFLA_IFNAME, new.encode() + b"\0")
    return Request(f"rename {old} to {new}", message)


def _of_device(index: int) -> bytes:
    """A change of the device *index*; encoded once, since an index is hardly ever seen again."""
    message = bytearray(_of_no_device())
    struct.pack_into("=i", message, _IFI_INDEX, index)
    return bytes(message)


@_kept
def _of_no_device() -> bytes:
    return _link(NEWLINK, ACK, [])


def delete(index: int, what: str) -> Request:
    return Request(f"delete {what}", _link(DELLINK, ACK, [], index=index), (errno.ENODEV,))


@_kept
def find(name: str, *, optional: bool = False) -> Request:
    """Answered with the link called *name*; with *optional* a missing one is an empty answer."""
    attrs = [("IFLA_IFNAME", name), ("IFLA_EXT_MASK", RTEXT_FILTER_SKIP_STATS)]
    ignore = (errno.ENODEV,) if optional else ()
    return Request(f"find the network device {name}", _link(GETLINK, ACK, attrs), ignore)


@_kept
def with_statistics(name: str) -> Request:
    """Answered with the link called *name* and its counters."""
    return Request(f"read the counters of {name}", _link(GETLINK, ACK, [("IFLA_IFNAME", name)]))


@_kept
def at(index: int) -> Request:
    """Answered with the link of that index; with nothing when it is gone."""
    attrs = [("IFLA_EXT_MASK", RTEXT_FILTER_SKIP_STATS)]
    return Request(f"find network device {index}", _link(GETLINK, ACK, attrs, index=index), (errno.ENODEV,))


@_kept
def all_links() -> Request:
    attrs = [("IFLA_EXT_MASK", RTEXT_FILTER_SKIP_STATS)]
    return Request("list network devices", _link(GETLINK, DUMP, attrs))


# addresses


@_kept
def add_address(index: int, address: Address) -> Request:
    message = _address(NEWADDR, ACK | CREATE | EXCL, index, address)
    return Request(f"add {address} inside", message, (errno.EEXIST,))


def del_address(index: int, address: Address) -> Request:
    return Request(
        f"remove {address} inside",
        _address(DELADDR, ACK, index, address),
        (errno.EADDRNOTAVAIL, errno.ENODEV),
    )


def _address(kind: int, flags: int, index: int, address: Address) -> bytes:
    attrs: list[Attribute] = [("IFA_LOCAL", str(address)), ("IFA_ADDRESS", str(address))]
    if address.version == 6:
        attrs.append(("IFA_FLAGS", IFA_F_NODAD))
    length = address.max_prefixlen
    return _encode("address", kind, flags, attrs, family=family(address), prefixlen=length, index=index)


@_kept
def addresses_of(index: int) -> Request:
    return Request("list addresses", _encode("address", GETADDR, DUMP, [], index=index))


# routes


def add_route(index: int, device: str, address: Address, source: Address | None = None) -> Request:
    """*address* is behind the device; EEXIST when the host has a route to exactly that address already."""
    message = _through(index, _way(NEWROUTE, ACK | CREATE | EXCL, address, source))
    return Request(f"route {address} to {device}", message)


def del_route(index: int, device: str, address: Address) -> Request:
    message = _through(index, _way(DELROUTE, ACK, address))
    return Request(f"remove the route of {address} to {device}", message, (errno.ESRCH,))


@_kept
def _way(kind: int, flags: int, address: Address, source: Address | None = None) -> bytes:
    """A route without its device, which is another one at each start."""
    attrs: list[Attribute] = [("RTA_DST", str(address))]
    if source is not None:
        attrs.append(("RTA_PREFSRC", str(source)))
    return _route(kind, flags, family(address), attrs, dst_len=address.max_prefixlen)


def _through(index: int, message: bytes) -> bytes:
    return _with_raw(message, RTA_OIF, struct.pack("=i", index))


@_kept
def default_route(index: int, version: int) -> Request:
    """Everything else goes to the host.  A default route that the guest made itself stays."""
    to = AF_INET if version == 4 else AF_INET6
    message = _route(NEWROUTE, ACK | CREATE | EXCL, to, [("RTA_OIF", index)])
    return Request(f"add the IPv{version} default route inside", message, (errno.EEXIST,))


def _route(kind: int, flags: int, to: int, attrs: Sequence[Attribute], *, dst_len: int = 0) -> bytes:
    scope = SCOPE_LINK if to == AF_INET else SCOPE_UNIVERSE
    return _encode(
        "route", kind, flags, attrs,
        family=to, dst_len=dst_len, table=TABLE_MAIN, proto=PROTOCOL, scope=scope, type=RTN_UNICAST,
    )  # fmt: skip


@_kept
def who_has(address: Address) -> Request:
    """Answered with the route that a packet of this host to *address* takes; with nothing when there is
    none.
    """
    attrs = [("RTA_DST", str(address))]
    fields = {"family": family(address), "dst_len": address.max_prefixlen, "flags": RTM_F_FIB_MATCH}
    ignore = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL)
    return Request(f"look up {address}", _encode("route", GETROUTE, ACK, attrs, **fields), ignore)


def our_routes(version: int, index: int | None = None) -> Request:
    """All routes of ours in the main table; with *index* only those to that device (the kernel filters)."""
    message = _all_our_routes(version)
    return Request("list routes", message if index is None else _through(index, message), (errno.ENOENT, *_NO_IPV6))


@_kept
def _all_our_routes(version: int) -> bytes:
    to = AF_INET if version == 4 else AF_INET6
    return _encode("route", GETROUTE, DUMP, [], family=to, proto=PROTOCOL)


# neighbours


def proxy(address: Address, index: int, device: str, *, add: bool = True) -> Request:
    """This host answers ARP or neighbour solicitations for *address* on the device."""
    attrs = [("NDA_DST", str(address))]
    fields = {"family": family(address), "ifindex": index, "flags": NTF_PROXY, "state": 0, "ndm_type": 0}
    kind, flags, ignore = (NEWNEIGH, CREATE, ()) if add else (DELNEIGH, 0, (errno.ENOENT, errno.ENODEV))
    verb = "answer" if add else "stop answering"
    return Request(
        f"{verb} for {address} on {device}", _encode("neighbour", kind, ACK | flags, attrs, **fields), ignore
    )


@_kept
def proxies(version: int) -> Request:
    to = AF_INET if version == 4 else AF_INET6
    return Request("list proxy entries", _encode("neighbour", GETNEIGH, DUMP, [], family=to, flags=NTF_PROXY))
