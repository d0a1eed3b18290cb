"""Hosts and containers as network namespaces, and bytes sent between them."""

import asyncio
import json
import socket
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address, ip_interface

import pytest

from hostd.kernel.fd import Fd
from hostd.kernel.namespace import namespace, socket_in_netns
from hostd.net import answers, messages, netlink, plumbing, protect, venet
from hostd.net.messages import PROTOCOL
from hostd.net.venet import Address, Venet
from tests.harness.netns import Netns, new_netns, run
from tests.harness.patience import patient

V4, V6 = ("192.0.2.5", "2001:db8::5")
OTHER4, OTHER6 = ("192.0.2.6", "2001:db8::6")
HOST4, HOST6 = ("203.0.113.1", "2001:db8:ffff::1")
FOREIGN = {4: "198.51.100.9", 6: "2001:db8:bad::9"}


@pytest.fixture
def host() -> Iterator[Netns]:
    """This thread stands in a network namespace of its own, with an address and forwarding."""
    with Netns.entered() as here:
        run(f"ip link set lo up; ip addr add {HOST4}/32 dev lo; ip addr add {HOST6}/128 dev lo")
        protect.forward()
        yield here
        asyncio.run(venet.settled())


@pytest.fixture
def guest() -> Iterator[Fd]:
    """A network namespace that belongs to another user namespace, as a container's does."""
    argv = ["unshare", "-Urn", "sh", "-c", "echo; exec sleep 1000"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    with namespace(process.pid, "net") as netns:
        yield netns
    process.kill()
    process.stdout.close()
    process.wait()


@pytest.fixture
def other() -> Iterator[Fd]:
    with new_netns() as netns:
        yield netns


def ct(ctid: int, *addresses: str) -> Venet:
    return Venet(ctid, f"ve{ctid}", tuple(map(ip_interface, addresses)))


def plugged(ctid: int, netns: Fd, *addresses: str) -> Venet:
    made = ct(ctid, *addresses)
    asyncio.run(venet.plug(made, netns))
    return made


def routed() -> dict[Address, str]:
    """Every address that this host routes into a container, and by which device: as ip(8) tells."""
    found: dict[Address, str] = {}
    for version in ("-4", "-6"):
        argv = ["ip", "-j", version, "route", "show", "proto", str(PROTOCOL)]
        said = subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout
        found |= {ip_address(route["dst"]): route["dev"] for route in json.loads(said)}
    return found


IFINFO_BYTES, IFLA_OPERSTATE, IF_OPER_UP = 16, 16, 6  # linux/rtnetlink.h, linux/if_link.h, linux/if.h


def are_up(netns: Fd) -> set[str]:
    """The devices in *netns* that `ip link` would show as UP at this moment."""
    with plumbing.inside(netns) as net:
        links = [netlink.attributes(link, IFINFO_BYTES) for link in net.dump(messages.all_links())]
    return {link[answers.IFLA_IFNAME].rstrip(b"\0").decode() for link in links if link[IFLA_OPERSTATE][0] == IF_OPER_UP}


def family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def sock(netns: Fd | None, address: str, kind: int) -> socket.socket:
    made = (
        socket.socket(family(address), kind)
        if netns is None
        else socket_in_netns(netns, family(address), kind)
    )
    made.settimeout(patient(10))
    return made


def exchange(server: Fd | None, client: Fd | None, address: str, payload: bytes = b"hello") -> str:
    """TCP from *client* to *address* in *server*: the payload arrives; the address that the server saw."""
    with (
        sock(server, address, socket.SOCK_STREAM) as listener,
        sock(client, address, socket.SOCK_STREAM) as near,
    ):
        listener.bind((address, 0))  # fails on an address that is still being checked for duplicates
        listener.listen()
        near.connect((address, listener.getsockname()[1]))
        far, peer = listener.accept()
        with far:
            near.setblocking(False)
            received, sent = b"", 0
            while len(received) < len(payload):
                try:
                    sent += near.send(payload[sent : sent + 65536])
                except BlockingIOError:
                    pass
                received += far.recv(1 << 20) if sent > len(received) else b""
            assert received == payload
    return str(peer[0])
