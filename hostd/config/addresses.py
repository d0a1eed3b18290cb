"""IP addresses of containers, and of their name servers.  Pure, as `values`."""

from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_interface,
)

Interface = IPv4Interface | IPv6Interface
Address = IPv4Address | IPv6Address


def address(text: str) -> Interface:
    """`A.B.C.D[/prefix|/mask]` or IPv6.  ValueError also for what can never be a container's own address.

    The unspecified address (0.0.0.0, ::) is valid here; `addresses` drops it, as OpenVZ does.
    """
    try:
        found = ip_interface(text)
    except ValueError:
        raise ValueError(f"{text} is not an IP address") from None
    if "%" in text:
        raise ValueError(f"{text}: an address of a container has no scope")
    if _useless(found.ip):
        raise ValueError(f"{text} is not an address that a container can own")
    return found


def _useless(ip: Address) -> bool:
    broadcast = str(ip) == "255.255.255.255"
    mapped = isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None
    return ip.is_loopback or ip.is_multicast or ip.is_link_local or broadcast or mapped


def addresses(text: str) -> tuple[Interface, ...]:
    """A list separated by blanks; duplicates and the unspecified address are dropped silently."""
    found: dict[Address, Interface] = {}
    for word in text.split():
        one = address(word)
        if not one.ip.is_unspecified:
            found.setdefault(one.ip, one)
    return tuple(found.values())


def address_text(one: Interface) -> str:
    """As the configuration spells it: without a prefix that covers the single address only."""
    return str(one.ip) if one.network.prefixlen == one.max_prefixlen else one.with_prefixlen


def addresses_text(many: tuple[Interface, ...]) -> str:
    return " ".join(map(address_text, many))


def name_servers(text: str) -> tuple[str, ...]:
    """Addresses separated by blanks, or the word `inherit`."""
    words = tuple(dict.fromkeys(text.split()))
    for word in words:
        if word != "inherit":
            _name_server(word)
    return ("inherit",) if "inherit" in words else words


def _name_server(text: str) -> None:
    try:
        ip_address(text)
    except ValueError:
        raise ValueError(f"{text} is not an IP address") from None


def usable_name_servers(text: str) -> tuple[str, ...]:
    """The same for a new value; a file may hold what nobody can reach, as it may under OpenVZ."""
    words = name_servers(text)
    for word in words:
        if word != "inherit" and _unreachable(ip_address(word)):
            raise ValueError(f"{word} is not the address of a server that a container can reach")
    return words


def _unreachable(ip: Address) -> bool:
    scoped = isinstance(ip, IPv6Address) and ip.scope_id is not None
    return scoped or ip.is_multicast or ip.is_unspecified or ip.is_link_local or str(ip) == "255.255.255.255"
