"""Whether an address belongs to another running container."""

from collections.abc import Iterable

from hostd.command.host import Host
from hostd.config.addresses import Address, Interface, addresses
from hostd.errors import Exit, Failure, NoConfig


def check(host: Host, ctid: int, wanted: Iterable[Interface]) -> None:
    """Failure 78 when a running container other than *ctid* has one of the addresses."""
    ours = {one.ip for one in wanted}
    if not ours:
        return
    for other in host.ids():
        taken = ours & _addresses(host, other) if other != ctid else set()
        if taken:
            raise Failure(Exit.IP_INUSE, f"IP address already in use: {min(map(str, taken))} (CT {other})")


def _addresses(host: Host, ctid: int) -> set[Address]:
    """The addresses of *ctid* while it runs; an unreadable configuration owns none."""
    facts = host.facts(ctid)
    if not facts.running:
        return set()
    try:
        text = facts.live.get("IP_ADDRESS", host.confs.raw(ctid).get("IP_ADDRESS") or "")
        return {one.ip for one in addresses(text)}
    except (NoConfig, ValueError):
        return set()
