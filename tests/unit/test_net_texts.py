"""The pure parts of the network: resolv.conf, the rule set, neighbours' devices and frames, the netlink
codec.
"""

import struct
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.errors import BadValue
from hostd.net import answers, firewall, messages, neighbours, resolver
from hostd.net.answers import Assigned, Link
from hostd.net.messages import GROUP
from hostd.net.netlink import attributes

HOST = (
    "# made by hand\nsearch example.org example.net\nnameserver 192.0.2.53\nnameserver 127.0.0.53\n"
    "options ndots:2\n"
)


@pytest.mark.parametrize(
    ("servers", "domains", "wanted"),
    [
        ([], [], None),
        (["192.0.2.1"], [], "nameserver 192.0.2.1\n"),
        ([], ["a.example", "b.example"], "search a.example b.example\n"),
        (
            ["192.0.2.1", "2001:db8::1"],
            ["a.example"],
            "search a.example\nnameserver 192.0.2.1\nnameserver 2001:db8::1\n",
        ),
        (["inherit"], [], "nameserver 192.0.2.53\n"),
        (["inherit"], ["inherit"], "search example.org example.net\nnameserver 192.0.2.53\n"),
        (["192.0.2.53", "inherit"], [], "nameserver 192.0.2.53\n"),
    ],
)
def test_resolv_conf(servers: list[str], domains: list[str], wanted: str | None) -> None:
    assert resolver.resolv_conf(servers, domains, HOST) == wanted


def test_the_last_search_or_domain_line_counts() -> None:
    host = "search one.example\ndomain two.example\n"
    assert resolver.resolv_conf([], ["inherit"], host) == "search two.example\n"
    assert resolver.resolv_conf([], ["inherit"], "search .\n") is None


def test_the_hosts_file_is_read_only_to_inherit(tmp_path: Path) -> None:
    missing = str(tmp_path / "resolv.conf")
    assert resolver.text(["192.0.2.1"], [], missing) == "nameserver 192.0.2.1\n"
    assert resolver.text(["inherit"], [], missing) is None
    Path(missing).write_text(HOST)
    assert resolver.text(["inherit"], [], missing) == "nameserver 192.0.2.53\n"


def test_rules_replace_themselves_and_mask_only_when_asked() -> None:
    assert "masquerade" in firewall.rules(nat=True)
    assert "masquerade" not in firewall.rules()
    assert firewall.rules().startswith(firewall.removal())


def device(index: int, name: str) -> Link:
    return Link(index, name, answers.IFF_UP, 0, 0, 0, bytes(6))


LINKS = [device(2, "eth0"), device(3, "eth1")]
ASSIGNED = [Assigned(2, ip_address("192.0.2.1"), 24, 0), Assigned(3, ip_address("2001:db8::1"), 64, 0)]


@pytest.mark.parametrize(
    ("address", "devices", "names"),
    [
        ("192.0.2.9", "detect", ["eth0"]),
        ("2001:db8::9", "detect", ["eth1"]),
        ("198.51.100.9", "detect", []),
        ("198.51.100.9", "all", ["eth0", "eth1"]),
        ("198.51.100.9", "list:eth1 eth7", ["eth1"]),
        ("192.0.2.9", "none", []),
    ],
)
def test_devices_that_answer_for_an_address(address: str, devices: str, names: list[str]) -> None:
    chosen = neighbours.choose(ip_address(address), LINKS, ASSIGNED, devices)
    assert [link.name for link in chosen] == names


def test_another_word_is_refused() -> None:
    with pytest.raises(BadValue, match="must be detect, all, none or list"):
        neighbours.choose(ip_address("192.0.2.9"), LINKS, ASSIGNED, "eth0")


def test_gratuitous_arp_asks_for_the_address_itself() -> None:
    mac, address = bytes.fromhex("020000000001"), ip_address("192.0.2.9")
    frame = neighbours.gratuitous_arp(address, mac)
    assert (len(frame), frame[:12]) == (42, b"\xff" * 6 + mac)
    assert frame[28:32] == frame[38:42] == address.packed


def test_neighbour_advertisement_has_a_right_checksum() -> None:
    mac, address = bytes.fromhex("020000000001"), ip_address("2001:db8::9")
    ip = neighbours.unsolicited_na(address, mac)[14:]
    icmp = ip[40:]
    pseudo = ip[8:40] + struct.pack("!II", len(icmp), 58)
    assert neighbours.checksum(pseudo + icmp) == 0, "a sum that includes its own checksum is zero"
    assert struct.unpack("!H", ip[4:6]) == (len(icmp),)
    assert address.packed in icmp and icmp.endswith(mac)


@given(st.lists(st.tuples(st.integers(1, 0x3FFF), st.binary(max_size=40)), unique_by=lambda pair: pair[0]))
def test_attributes_are_found_whatever_their_length(pairs: list[tuple[int, bytes]]) -> None:
    data = b"head" + b"".join(
        struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4) for kind, value in pairs
    )
    assert attributes(data, 4) == dict(pairs)


@given(st.binary(max_size=64))
def test_garbage_attributes_end(data: bytes) -> None:
    assert sum(len(value) for value in attributes(data, 0).values()) <= len(data)


def test_a_pair_is_in_our_group_and_has_no_arp() -> None:
    message = messages.new_pair("ve101", "venet0", "02:76:00:00:00:65", None).message
    flags, change = struct.unpack_from("=II", message, 24)
    assert flags & change == answers.IFF_NOARP
    found = attributes(message, 32)
    assert struct.unpack("=I", found[answers.IFLA_GROUP]) == (GROUP,)
    assert found[answers.IFLA_ADDRESS] == bytes.fromhex("027600000065")
    assert message.count(bytes.fromhex("027600000065")) == 2, "the same MAC at both ends"
