"""Whether an address belongs to another container that has it now."""

from collections.abc import Iterable

from hostd.command.host import Host
from hostd.config.addresses import Interface
from hostd.errors import Exit, Failure


def check(host: Host, ctid: int, wanted: Iterable[Interface]) -> None:
    """Failure 78 when a container other than *ctid* runs, or is being started, with one of the addresses."""
    ours = {str(one.ip) for one in wanted}
    for other, address in host.addresses() if ours else ():
        if address in ours and other != ctid:
            raise Failure(Exit.IP_INUSE, f"IP address already in use: {address} (CT {other})")
