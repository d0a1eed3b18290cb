"""venet: containers and the host reach each other, live changes, names."""

import asyncio
import os
import socket
from ipaddress import ip_address, ip_interface

import pytest

from hostd.kernel.fd import Fd
from hostd.net import answers, messages, plumbing, protect, venet
from hostd.net.netlink import Rtnl
from hostd.net.venet import Venet
from tests.harness.needs import needs
from tests.harness.netns import Netns, new_netns, run
from tests.harness.venet_box import (
    HOST4,
    HOST6,
    OTHER4,
    OTHER6,
    V4,
    V6,
    are_up,
    ct,
    exchange,
    plugged,
    routed,
    sock,
)

pytestmark = [pytest.mark.root, needs("nftables", "ipv6")]


# reaching


@pytest.mark.parametrize("address", [V4, V6])
def test_host_and_container_reach_each_other_at_once(host: Netns, guest: Fd, address: str) -> None:
    plugged(101, guest, V4, V6)
    assert exchange(guest, None, address)
    mine = HOST6 if ":" in address else HOST4
    assert exchange(None, guest, mine) == address, "the container's own address is the source"


@pytest.mark.parametrize(("first", "second"), [(V4, OTHER4), (V6, OTHER6)])
def test_containers_reach_each_other_through_the_host(
    host: Netns, guest: Fd, other: Fd, first: str, second: str
) -> None:
    asyncio.run(protect.install())
    plugged(101, guest, V4, V6)
    plugged(102, other, OTHER4, OTHER6)
    bulk = os.urandom(1 << 20)
    assert exchange(other, guest, second, bulk) == first
    assert exchange(guest, other, first, bulk) == second


def test_several_addresses_and_prefixes_that_do_not_matter(host: Netns, guest: Fd) -> None:
    plugged(101, guest, f"{V4}/24", f"{V4}/32", "192.0.2.7", f"{V6}/64")
    for address in (V4, "192.0.2.7", V6):
        exchange(guest, None, address)
    assert routed() == {ip_address(a): "ve101" for a in (V4, "192.0.2.7", V6)}


def test_a_container_without_addresses_has_its_device(host: Netns, guest: Fd) -> None:
    plugged(101, guest)
    assert plumbing.host_ends() == ["ve101"]
    asyncio.run(venet.add_address("ve101", guest, ip_interface(V6)))
    assert exchange(guest, None, V6)


SYNCED = (6, 8)  # the Linux that looks at a device it is asked for


@pytest.mark.skipif(tuple(map(int, os.uname().release.split(".")[:2])) < SYNCED, reason="an older kernel")
def test_both_ends_are_up_at_once_also_with_the_same_index() -> None:
    """As the first of a host has it.  Once a second the kernel looks of itself, so one alone might be lucky."""
    for _ in range(3):
        with Netns.entered() as here, new_netns() as inside:
            plugged(101, inside, V4)
            assert (are_up(here.fd) - {"lo"}, are_up(inside) - {"lo"}) == ({"ve101"}, {"venet0"})


def test_no_link_local_addresses_and_no_arp(host: Netns, guest: Fd) -> None:
    plugged(101, guest, V4)
    with Rtnl() as here, plumbing.inside(guest) as there:
        for net in (here, there):
            links = [link for link in map(answers.link, net.dump(messages.all_links())) if link.peer]
            assert [bool(link.flags & answers.IFF_NOARP) for link in links] == [True]
            found = [answers.assigned(data) for data in net.dump(messages.addresses_of(0))]
            assert not [a for a in found if a.address.is_link_local]


# live changes


def test_addresses_come_and_go_while_it_runs(host: Netns, guest: Fd) -> None:
    plugged(101, guest, V4)
    for address in (V6, "192.0.2.8"):
        asyncio.run(venet.add_address("ve101", guest, ip_interface(address)))
        assert exchange(guest, None, address)
        asyncio.run(venet.del_address("ve101", guest, ip_interface(address)))
        asyncio.run(venet.del_address("ve101", guest, ip_interface(address)))  # again
        assert ip_address(address) not in routed()
        with sock(guest, address, socket.SOCK_STREAM) as gone, pytest.raises(OSError, match="assign"):
            gone.bind((address, 0))
    assert exchange(guest, None, V4)


def test_the_name_is_free_at_once(host: Netns, guest: Fd, other: Fd) -> None:
    made = plugged(101, guest, V4, V6)

    async def replug() -> None:
        for netns in (other, guest, other):
            await venet.unplug("ve101")
            assert routed() == {}
            await venet.plug(made, netns)
        await venet.settled()

    asyncio.run(replug())
    assert plumbing.host_ends() == ["ve101"]
    assert exchange(other, None, V4)
    with Rtnl() as here:
        assert len([link for link in map(answers.link, here.dump(messages.all_links())) if link.peer]) == 1


def test_unplug_while_the_network_namespace_dies(
    host: Netns, guest: Fd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel deletes the device between two questions."""
    plugged(101, guest, V4, V6)
    found = plumbing._found

    def last_seen(net: Rtnl, name: str) -> list[answers.Link]:
        links = found(net, name)
        net.run([messages.delete(link.index, name) for link in links])
        return links

    monkeypatch.setattr(plumbing, "_found", last_seen)
    assert plumbing.retire("ve101") is None


def test_unplug_is_idempotent_and_a_dead_container_leaves_nothing(host: Netns) -> None:
    netns = new_netns()
    plugged(101, netns, V4)
    netns.close()

    async def again() -> None:
        await venet.unplug("ve101")
        await venet.unplug("ve101")
        await venet.settled()

    asyncio.run(again())
    assert plumbing.host_ends() == []
    assert routed() == {}


def test_a_leftover_of_the_same_name_gives_way(host: Netns, guest: Fd, other: Fd) -> None:
    plugged(101, guest, V4)
    plugged(101, other, OTHER4)
    assert routed() == {ip_address(OTHER4): "ve101"}


def test_sweep_deletes_what_a_dead_daemon_renamed(host: Netns, guest: Fd) -> None:
    plugged(101, guest, V4)
    assert plumbing.retire("ve101")
    assert len(plumbing.retired()) == 1

    async def sweep() -> None:
        await venet.sweep()
        await venet.settled()

    asyncio.run(sweep())
    assert plumbing.retired() == []


def test_source_of_the_hosts_own_packets(host: Netns, guest: Fd) -> None:
    run("ip link add up0 type veth peer name up1; ip addr add 203.0.113.77/24 dev up0; ip link set up0 up")
    sources = asyncio.run(venet.sources_of("up0"))
    assert sources == (ip_address("203.0.113.77"),)
    asyncio.run(venet.plug(Venet(101, "ve101", (ip_interface(V4),), sources), guest))
    assert exchange(guest, None, V4) == "203.0.113.77"


def test_a_pair_for_a_restore(host: Netns, other: Fd) -> None:
    names = asyncio.run(venet.host_end(ct(101, V4)))
    assert names == ("ve101", "vc101")
    assert routed() == {ip_address(V4): "ve101"}
    with Rtnl() as here:
        links = {link.name: link for link in map(answers.link, here.dump(messages.all_links()))}
    assert not links["vc101"].flags & answers.IFF_UP

    async def away() -> None:
        await venet.unplug("ve101")
        await venet.settled()

    asyncio.run(away())
    with Rtnl() as here:
        assert {link.name for link in map(answers.link, here.dump(messages.all_links()))} == {"lo"}
