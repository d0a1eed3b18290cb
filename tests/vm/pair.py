"""Two machines on one link: what live migration between two kernels will be tested with.

    with pair(left, right, order, directory) as (a, b):
        a.run("ping -c1 192.0.2.2")
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from tempfile import TemporaryDirectory

from tests.vm.boot import Order, scratch
from tests.vm.host import Host
from tests.vm.pieces import Pieces

ADDRESSES = ("192.0.2.1", "192.0.2.2")
# The link's device is the machine's first; it appears when its module has been loaded.
LINK = """modprobe virtio_net; for i in $(seq 100); do [ -e /sys/class/net/eth0 ] && break; sleep 0.1; done
ip link set eth0 up && ip address add {address}/24 dev eth0"""


@dataclass(frozen=True)
class End:
    """A machine of a pair, and the disk with its working tree."""

    pieces: Pieces
    tree: str


@contextmanager
def pair(left: End, right: End, order: Order, directory: str) -> Iterator[tuple[Host, Host]]:
    """Both machines, booted, with ADDRESSES on their link.  *order*: memory and templates of both."""
    with TemporaryDirectory(prefix="vz-pair-", dir=scratch()) as work, ExitStack() as stack:
        link = f"stream,addr.type=unix,addr.path={work}/link"
        ends = (f"{link},server=on", f"{link},server=off,reconnect-ms=200")
        hosts = []
        for number, (end, net) in enumerate(zip((left, right), ends, strict=True), 1):
            one = replace(order, net=(net,), number=number, tree=end.tree)
            hosts.append(Host(end.pieces, one, f"{directory}/{number}", f"{work}/orders{number}"))
            stack.callback(hosts[-1].end)
        for host, address in zip(hosts, ADDRESSES, strict=True):
            host.ready()
            host.run(LINK.format(address=address))
        yield hosts[0], hosts[1]
