"""A new channel to a PID 1 whose own is lost: over the address that vzinit listens at in its network namespace."""

import socket

from hostd.container.container import Container
from hostd.container.init_link import InitLink
from hostd.kernel.namespace import socket_in_netns

RESCUE_ADDRESS = "\0vzinit"


def connect(ct: Container) -> InitLink:
    """Give *ct* a new channel.  Raises OSError when nobody listens."""
    with ct.netns() as netns:
        end = socket_in_netns(netns, socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        end.setblocking(False)  # a guest may let the backlog run full
        end.connect(RESCUE_ADDRESS)
    except OSError:
        end.close()
        raise
    link = InitLink(end, ct.on_event, ct.on_lost)
    ct.connect(link)
    return link
