"""What went through a container's network device, as its host end counts it."""

import struct
from typing import NamedTuple

from hostd.net import messages
from hostd.net.netlink import NetlinkError, Rtnl, attributes

IFLA_STATS64 = 23  # linux/if_link.h
_BYTES = struct.Struct("=2Q")  # of struct rtnl_link_stats64: rx_bytes, tx_bytes
_AT = 16  # after rx_packets, tx_packets
_IFINFOMSG = 16


class Traffic(NamedTuple):
    """Bytes that came into the container and went out of it since its network was plugged."""

    came: int
    went: int


def traffic(host_name: str) -> Traffic | None:
    """Of the container behind *host_name*; None when that is gone."""
    try:
        with Rtnl() as host:
            ((payload,),) = host.run([messages.with_statistics(host_name)])
    except NetlinkError:
        return None
    return decode(payload)


def decode(payload: bytes) -> Traffic | None:
    """Of an answer to `with_statistics`.  What the host end received the container has sent."""
    counters = attributes(payload, _IFINFOMSG).get(IFLA_STATS64)
    if counters is None:
        return None
    received, sent = _BYTES.unpack_from(counters, _AT)
    return Traffic(came=sent, went=received)
