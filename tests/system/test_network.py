"""Addresses of a container: reachable, changed live, refused when taken, never forged."""

import pytest

from tests.harness import machine
from tests.harness.installation import HOST_ADDRESS, HOST_ADDRESS6, Vz
from tests.harness.needs import needs

pytestmark = [pytest.mark.system, needs("nftables", "ipv6")]


def ping_from(vz: Vz, ctid: int, address: str) -> bool:
    return vz.ctl("exec2", str(ctid), "ping", "-c1", "-W2", address, check=None).code == 0


def test_the_address_is_there_when_start_returns(vz: Vz) -> None:
    vz.create(101, "--ipadd", "192.0.2.1", "--ipadd", "2001:db8::1")
    vz.ctl("start", "101")
    assert vz.reaches("192.0.2.1")
    assert vz.reaches("2001:db8::1")
    assert ping_from(vz, 101, HOST_ADDRESS)
    assert ping_from(vz, 101, HOST_ADDRESS6)


def test_containers_reach_each_other(vz: Vz) -> None:
    vz.start(101, "--ipadd", "192.0.2.1", "--ipadd", "2001:db8::1")
    vz.start(102, "--ipadd", "192.0.2.2", "--ipadd", "2001:db8::2")
    assert ping_from(vz, 101, "192.0.2.2")
    assert ping_from(vz, 102, "2001:db8::1")
    vz.popen("vzctl", "exec2", "101", "echo over-tcp | nc -l -p 4444")
    machine.until(
        "text over TCP",
        lambda: "over-tcp" in vz.ctl("exec2", "102", "nc -w 5 192.0.2.1 4444", check=None).stdout,
    )


def test_add_and_delete_on_a_running_container(vz: Vz) -> None:
    vz.start(101, "--ipadd", "192.0.2.1")
    said = vz.ctl("set", "101", "--ipadd", "192.0.2.9", "--ipadd", "2001:db8::9", "--save")
    assert "Adding IP address(es): 192.0.2.9 2001:db8::9" in said.stdout
    assert vz.reaches("192.0.2.9") and vz.reaches("2001:db8::9") and vz.reaches("192.0.2.1")
    said = vz.ctl("set", "101", "--ipdel", "192.0.2.1", "--save")
    assert "Deleting IP address(es): 192.0.2.1" in said.stdout
    assert not vz.reaches("192.0.2.1") and vz.reaches("192.0.2.9")
    vz.ctl("set", "101", "--ipdel", "all", "--ipadd", "192.0.2.30", "--save")
    assert vz.vzlist("-jo", "ip").replace(" ", "").replace("\n", "") == '[{"ip":["192.0.2.30"]}]'
    assert not vz.reaches("192.0.2.9") and vz.reaches("192.0.2.30")
    vz.ctl("restart", "101")
    assert vz.reaches("192.0.2.30")


def test_an_address_in_use_is_refused(vz: Vz) -> None:
    vz.start(101, "--ipadd", "192.0.2.1")
    vz.start(102, "--ipadd", "192.0.2.2")
    vz.ctl("set", "102", "--ipadd", "192.0.2.1", "--save", check=78)
    vz.create(103, "--ipadd", "192.0.2.2")
    vz.ctl("start", "103", check=78)
    assert vz.status(103) == "exist unmounted down"
    assert vz.reaches("192.0.2.1") and vz.reaches("192.0.2.2")


def test_routes_go_with_the_container(vz: Vz) -> None:
    vz.start(101, "--ipadd", "192.0.2.1", "--ipadd", "2001:db8::1")
    vz.ctl("stop", "101", "--fast")
    assert "192.0.2.1" not in vz.ip("route")
    assert "2001:db8::1" not in vz.ip("-6", "route")
    machine.until("no device is left", lambda: vz.paths.veth(101) not in vz.ip("link"))


def test_a_forged_source_does_not_leave(vz: Vz) -> None:
    """The container adds 192.0.2.2, which is another's, and speaks from it: nothing arrives."""
    vz.start(101, "--ipadd", "192.0.2.1")
    vz.start(102, "--ipadd", "192.0.2.2")
    own = ["ping", "-c1", "-W2", "-I", "192.0.2.1", HOST_ADDRESS]
    assert vz.ctl("exec2", "101", *own, check=None).code == 0
    vz.ctl("exec2", "101", "ip addr add 203.0.113.66/32 dev venet0")
    before = _dropped_or_answered(vz)
    forged = ["ping", "-c3", "-W1", "-I", "203.0.113.66", HOST_ADDRESS]
    vz.ctl("exec2", "101", *forged, check=1)
    assert _dropped_or_answered(vz) == before, "the host received forged packets"


def _dropped_or_answered(vz: Vz) -> str:
    """Echo requests the host's stack has accepted (IcmpInEchos)."""
    heads, values = (line.split() for line in vz.run("cat", "/proc/net/snmp").stdout.splitlines()
                     if line.startswith("Icmp:"))  # fmt: skip
    return dict(zip(heads, values, strict=True))["InEchos"]


def test_default_route_is_venet0(vz: Vz) -> None:
    vz.start(101, "--ipadd", "192.0.2.1")
    assert "default dev venet0" in vz.ctl("exec2", "101", "ip route").stdout
    assert "venet0" in vz.ctl("exec2", "101", "cat /proc/net/dev").stdout


def test_without_an_address_there_is_loopback_only(vz: Vz) -> None:
    vz.start(101)
    assert ping_from(vz, 101, "127.0.0.1")
    assert "default" not in vz.ctl("exec2", "101", "ip route").stdout
