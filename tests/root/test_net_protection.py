"""What must not be reached: taken addresses, foreign sources; neighbours and NAT."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_address, ip_interface

import pytest

from hostd.errors import Exit, Failure
from hostd.kernel.fd import Fd
from hostd.net import answers, guard, messages, neighbours, plumbing, protect, venet
from tests.harness.needs import needs
from tests.harness.netns import Netns, new_netns, run
from tests.harness.patience import patient
from tests.harness.venet_box import (
    FOREIGN,
    HOST4,
    HOST6,
    OTHER4,
    OTHER6,
    V4,
    V6,
    ct,
    exchange,
    plugged,
    routed,
    sock,
)

pytestmark = [pytest.mark.root, needs("nftables")]


# refusals


def refused(code: Exit, text: str, act: Callable[[], Awaitable[None]]) -> None:
    async def go() -> None:
        await act()

    with pytest.raises(Failure, match=text) as failure:
        asyncio.run(go())
    assert failure.value.exit_code == code
    assert "\n" not in failure.value.message


@pytest.mark.parametrize(
    ("address", "code", "text"),
    [
        (V4, Exit.IP_INUSE, f"{V4} .*ve101"),
        (V6, Exit.IP_INUSE, f"{V6} .*ve101"),
        (HOST4, Exit.IP_INUSE, f"{HOST4} belongs to this host"),
        (HOST6, Exit.IP_INUSE, f"{HOST6} belongs to this host"),
        ("198.51.100.1", Exit.IP_INUSE, "198.51.100.1"),
        ("198.51.100.255", Exit.BADIP, "198.51.100.255 is a broadcast"),
        ("224.0.0.5", Exit.BADIP, "224.0.0.5 cannot be"),
        ("ff02::5", Exit.BADIP, "ff02::5 cannot be"),
    ],
)
def test_an_address_that_is_taken(
    host: Netns, guest: Fd, other: Fd, address: str, code: Exit, text: str
) -> None:
    run("ip link add up0 type veth peer name up1; ip addr add 198.51.100.2/24 brd + dev up0")
    run("ip link set up0 up; ip route add 198.51.100.1/32 dev up0")
    plugged(101, guest, V4, V6)
    before = routed()
    refused(code, text, lambda: venet.plug(ct(102, OTHER4, address), other))
    asyncio.run(venet.settled())
    assert plumbing.host_ends() == ["ve101"]
    plugged(102, other, OTHER4)
    refused(code, text, lambda: venet.add_address("ve102", other, ip_interface(address)))
    assert routed() == before | {ip_address(OTHER4): "ve102"}


def test_a_namespace_that_is_none(host: Netns) -> None:
    with Fd.open("/dev/null", os.O_RDONLY) as null:
        refused(
            Exit.CANT_ADDIP, "cannot reach the container's network", lambda: venet.plug(ct(101, V4), null)
        )
    assert plumbing.host_ends() == []


def test_somebody_elses_device_of_that_name_stays(host: Netns, guest: Fd) -> None:
    run("ip link add ve101 type veth peer name x1")
    refused(Exit.CANT_ADDIP, "ve101: File exists", lambda: venet.plug(ct(101, V4), guest))
    asyncio.run(venet.unplug("ve101"))
    run("ip link show ve101 >/dev/null")


# anti-spoofing


def spoof(guest: Fd, version: int, target: str) -> str:
    """Send with a foreign source, then with the own one; the source that arrived first at *target* on the
    host.
    """
    foreign, own = FOREIGN[version], V4 if version == 4 else V6
    with plumbing.inside(guest) as net:
        index = answers.link(net.run([messages.find("venet0")])[0][0]).index
        net.run([messages.add_address(index, ip_address(foreign))])
    with sock(None, target, socket.SOCK_DGRAM) as server:
        server.bind((target, 0))
        for source in (foreign, own):
            with sock(guest, target, socket.SOCK_DGRAM) as client:
                client.bind((source, 0))
                client.sendto(b"x", server.getsockname()[:2])
        return str(server.recvfrom(10)[1][0])


def test_without_the_firewall_ipv6_can_be_spoofed_and_ipv4_not(host: Netns, guest: Fd) -> None:
    """The first shows that the tests below can fail, the second that rp_filter is a line of its own."""
    plugged(101, guest, V4, V6)
    assert spoof(guest, 6, HOST6) == FOREIGN[6]
    assert spoof(guest, 4, HOST4) == V4


def test_without_either_ipv4_can_be_spoofed(host: Netns, guest: Fd) -> None:
    plugged(101, guest, V4, V6)
    run("echo 0 > /proc/sys/net/ipv4/conf/ve101/rp_filter")
    assert spoof(guest, 4, HOST4) == FOREIGN[4]


@pytest.mark.parametrize("version", [4, 6])
def test_the_firewall_alone_stops_foreign_sources(host: Netns, guest: Fd, version: int) -> None:
    asyncio.run(protect.install())
    plugged(101, guest, V4, V6)
    run("echo 0 > /proc/sys/net/ipv4/conf/ve101/rp_filter")
    assert spoof(guest, version, HOST4 if version == 4 else HOST6) == (V4 if version == 4 else V6)


@pytest.mark.parametrize("version", [4, 6])
def test_a_foreign_source_reaches_no_other_container(host: Netns, guest: Fd, other: Fd, version: int) -> None:
    """Not even with the address of a third container."""
    asyncio.run(protect.install())
    plugged(101, guest, V4, V6)
    plugged(102, other, OTHER4, OTHER6)
    target = OTHER4 if version == 4 else OTHER6
    with new_netns() as third:
        plugged(103, third, FOREIGN[version])
        with plumbing.inside(guest) as net:
            index = answers.link(net.run([messages.find("venet0")])[0][0]).index
            net.run([messages.add_address(index, ip_address(FOREIGN[version]))])
        with sock(other, target, socket.SOCK_DGRAM) as server, ExitStack() as stack:
            server.bind((target, 0))
            for source in (FOREIGN[version], V4 if version == 4 else V6):
                client = stack.enter_context(sock(guest, target, socket.SOCK_DGRAM))
                client.bind((source, 0))
                client.sendto(b"x", server.getsockname()[:2])
            assert server.recvfrom(10)[1][0] == (V4 if version == 4 else V6)


def test_protection_is_installed_once_and_leaves_nothing(host: Netns, guest: Fd) -> None:
    def tables() -> str:
        return subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout

    assert not asyncio.run(protect.installed())
    asyncio.run(protect.install(nat=True))
    asyncio.run(protect.install())
    once = tables()
    asyncio.run(protect.install())
    assert tables() == once
    assert "masquerade" not in once
    assert asyncio.run(protect.installed())
    plugged(101, guest, V4)
    assert not asyncio.run(protect.remove()), "a running container must not lose its protection"

    async def away() -> None:
        await venet.unplug("ve101")
        await venet.settled()
        assert await protect.remove()
        assert await protect.remove()

    asyncio.run(away())
    assert tables() == ""


def test_flushed_rules_come_back(host: Netns) -> None:
    async def back(keeper: "asyncio.Task[None]") -> None:
        async with asyncio.timeout(patient(10)):
            while not await protect.installed():
                assert not keeper.done()

    async def flush() -> None:
        await protect.install()
        keeper = asyncio.create_task(guard.guard())
        for _ in range(2):
            await back(keeper)
            await asyncio.to_thread(run, "nft flush ruleset")
        await back(keeper)
        keeper.cancel()

    asyncio.run(flush())


# a neighbour on the host's network

LAN4, LAN6 = ("192.0.2.2", "2001:db8::2")


@pytest.fixture
def lan(host: Netns) -> Iterator[Fd]:
    """A machine on the network of the host's device up0, 192.0.2.1/24 and 2001:db8::1/64."""
    with Netns() as machine:
        run(
            f"ip link add up0 type veth peer name lan0 netns {machine.pid_path};"
            "ip addr add 192.0.2.1/24 dev up0; ip addr add 2001:db8::1/64 dev up0 nodad; ip link set up0 up"
        )
        machine.run(
            f"ip link set lo up; ip addr add {LAN4}/24 dev lan0; ip addr add {LAN6}/64 dev lan0 nodad;"
            "ip link set lan0 up"
        )
        yield machine.fd


@pytest.mark.parametrize(("address", "neighbour"), [(V4, LAN4), (V6, LAN6)])
def test_neighbours_find_an_announced_container(lan: Fd, guest: Fd, address: str, neighbour: str) -> None:
    asyncio.run(protect.install())
    made = plugged(101, guest, V4, V6)
    asyncio.run(neighbours.announce(made.hosts))
    assert exchange(guest, lan, address) == neighbour
    assert exchange(lan, guest, neighbour) == address
    asyncio.run(venet.unplug("ve101"))
    asyncio.run(neighbours.withdraw(made.hosts))
    asyncio.run(neighbours.withdraw(made.hosts))
    assert answered_for() == set()


def answered_for() -> set[str]:
    """The addresses for which this host answers: as ip(8) tells."""
    listings = [["ip", version, "neigh", "show", "proxy"] for version in ("-4", "-6")]
    said = [subprocess.run(argv, capture_output=True, text=True, check=True).stdout for argv in listings]
    return {line.split()[0] for line in "".join(said).splitlines()}


def test_who_is_refused_an_address_does_not_take_it_off_the_network(lan: Fd, guest: Fd, other: Fd) -> None:
    """A container of another hostd, say: its start fails in `plug`, and what a failed start undoes is `withdraw`."""
    asyncio.run(protect.install())
    made = plugged(101, guest, V4, V6)
    asyncio.run(neighbours.announce(made.hosts))
    refused(Exit.IP_INUSE, V4, lambda: venet.plug(ct(102, V4, V6), other))
    asyncio.run(venet.unplug("ve102"))
    asyncio.run(neighbours.withdraw(made.hosts))
    assert answered_for() == {V4, V6}
    assert exchange(lan, guest, LAN4) == V4


def test_nor_is_what_the_host_routes_elsewhere(lan: Fd, other: Fd) -> None:
    """To a virtual machine, say."""
    run(f"ip route add {V4}/32 dev up0; ip neigh add proxy {V4} dev up0")
    refused(Exit.IP_INUSE, V4, lambda: venet.plug(ct(102, V4), other))
    asyncio.run(neighbours.withdraw([ip_address(V4)]))
    assert answered_for() == {V4}


def test_nat_hides_containers_from_the_outside_only(lan: Fd, guest: Fd, other: Fd) -> None:
    plugged(101, guest, "198.51.100.5")
    plugged(102, other, "198.51.100.6")
    asyncio.run(protect.install(nat=True))
    assert exchange(lan, guest, LAN4) == "192.0.2.1"
    assert exchange(other, guest, "198.51.100.6") == "198.51.100.5"
    assert exchange(None, guest, HOST4) == "198.51.100.5"
