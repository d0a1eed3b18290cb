"""vzctl set: addresses, names, lists and switches."""

import os

import pytest

from hostd.command.host import Facts
from hostd.config import names
from hostd.config.addresses import addresses, addresses_text
from tests.harness.fake_host import Fake, Said


def saved(fake: Fake, ctid: int = 101) -> str:
    return f"CT configuration saved to {fake.paths.ct_conf(ctid)}\n"


def ips(text: str) -> tuple[object, ...]:
    return addresses(text)


@pytest.mark.parametrize(
    ("before", "argv", "after"),
    [
        ("", ["--ipadd", "192.0.2.1/24", "--ipadd", "192.0.2.2"], "192.0.2.1/24 192.0.2.2"),
        ("192.0.2.1", ["--ip", "192.0.2.2 2001:db8::1"], "192.0.2.1 192.0.2.2 2001:db8::1"),
        ("192.0.2.1/24", ["--ipadd", "192.0.2.1"], "192.0.2.1/24"),
        ("192.0.2.1/24 192.0.2.2", ["--ipdel", "192.0.2.1"], "192.0.2.2"),
        ("192.0.2.1", ["--ipdel", "192.0.2.9"], "192.0.2.1"),
        ("192.0.2.1 192.0.2.2", ["--ipdel", "all", "--ipadd", "192.0.2.3"], "192.0.2.3"),
        ("192.0.2.1 192.0.2.2", ["--ipadd", "192.0.2.3", "--ipdel", "all"], "192.0.2.3"),
        ("192.0.2.1", ["--ipdel", "all"], ""),
        ("192.0.2.1", ["--ipadd", "0.0.0.0"], "192.0.2.1"),
    ],
)
def test_addresses(fake: Fake, before: str, argv: list[str], after: str) -> None:
    fake.up(101, f'IP_ADDRESS="{before}"\n')
    assert fake.ctl("set", "101", "--save", *argv).code == 0
    assert fake.conf(101) == f'IP_ADDRESS="{after}"\n'
    assert addresses_text(fake.host.changes[0].after.addresses) == after


def test_only_the_difference_is_applied_and_told(fake: Fake) -> None:
    fake.up(101, 'IP_ADDRESS="192.0.2.1 192.0.2.2"\n')
    said = fake.ctl(
        "set", "101", "--ipdel", "all", "--ipadd", "192.0.2.2", "--ipadd", "192.0.2.3/24", "--save"
    )
    (change,) = fake.host.changes
    assert (change.delete, change.add) == (ips("192.0.2.1"), ips("192.0.2.3/24"))
    told = "Deleting IP address(es): 192.0.2.1\nAdding IP address(es): 192.0.2.3\n"
    assert said == Said(0, told + saved(fake), "")


def test_what_runs_is_not_what_is_written(fake: Fake) -> None:
    """An address that was added without --save is known to the next command, and is not written by it."""
    fake.up(101, 'IP_ADDRESS="192.0.2.1"\n')
    fake.host.states[101] = Facts(
        exists=True, mounted=True, running=True, live={"IP_ADDRESS": "192.0.2.1 192.0.2.2", "CPUUNITS": "9"}
    )
    fake.ctl("set", "101", "--ipdel", "192.0.2.2", "--ipadd", "192.0.2.3", "--save")
    (change,) = fake.host.changes
    assert (change.delete, change.add, change.after.cpuunits) == (ips("192.0.2.2"), ips("192.0.2.3"), 9)
    assert fake.conf(101) == 'IP_ADDRESS="192.0.2.1 192.0.2.3"\n'


def test_an_address_in_use(fake: Fake) -> None:
    fake.up(101, "A=1\n")
    fake.up(102, 'IP_ADDRESS="192.0.2.7/24"\n')
    said = fake.ctl("set", "101", "--ipadd", "192.0.2.7", "--onboot", "yes", "--save")
    not_saved = "Error: failed to apply some parameters, not saving configuration file!\n"
    assert said == Said(78, "", "IP address already in use: 192.0.2.7 (CT 102)\n" + not_saved)
    assert fake.conf(101) == "A=1\n" and fake.asked() == []


# Names, lists, switches


def test_name(fake: Fake) -> None:
    fake.ct(101)
    assert fake.ctl("set", "101", "--name", "web", "--save") == Said(
        0, "Name web assigned\n" + saved(fake), ""
    )
    assert names.lookup(fake.paths, "web") == 101
    assert fake.ctl("set", "web", "--name", "mail", "--save").code == 0
    assert os.listdir(fake.paths.names_dir) == ["mail"]
    assert fake.ctl("set", "mail", "--name", "", "--save").stdout.startswith("Name  assigned\n")
    assert os.listdir(fake.paths.names_dir) == []


def test_name_conflicts(fake: Fake) -> None:
    fake.ct(101)
    fake.ct(102, "A=1\n")
    fake.ctl("set", "101", "--name", "web", "--save")
    said = fake.ctl("set", "102", "--name", "web", "--save")
    assert said == Said(131, "", "Conflict: name web already used by container 101\n")
    fake.up(102, 'NAME="web"\n')
    for option in (("--name", "web"), ("--applyconfig_map", "name")):
        said = fake.ctl("set", "102", *option, "--numproc", "9", "--save")
        assert said.code == 131 and fake.asked() == [], "nothing is changed for a name that cannot be had"
    fake.ct(102, "A=1\n")
    text = "Error: unable to use --name option without --save\n"
    assert fake.ctl("set", "102", "--name", "other") == Said(131, "", text)
    assert fake.conf(102) == "A=1\n" and os.listdir(fake.paths.names_dir) == ["web"]


def test_the_link_of_a_name_is_made_again(fake: Fake) -> None:
    fake.ct(101, 'NAME="web"\n')
    assert fake.ctl("set", "101", "--applyconfig_map", "name", "--save").code == 0
    assert names.lookup(fake.paths, "web") == 101


def test_lists_and_switches(fake: Fake) -> None:
    fake.ct(101, 'NAMESERVER="192.0.2.1"\nFEATURES="nfs:on ppp:off"\n')
    fake.ctl("set", "101", "--save", "--nameserver", "192.0.2.5", "--nameserver", "192.0.2.6", "--features",
             "ppp:on", "--searchdomain", "a.b c.d", "--searchdomain", "e.f")  # fmt: skip
    assert fake.conf(101) == (
        'NAMESERVER="192.0.2.5 192.0.2.6"\nFEATURES="nfs:on ppp:on"\nSEARCHDOMAIN="a.b c.d e.f"\n'
    )


def test_quotes_in_a_description(fake: Fake) -> None:
    fake.ct(101)
    fake.ctl("set", "101", "--description", 'hello "w"', "--save")
    assert fake.conf(101) == 'DESCRIPTION="hello "w""\n'
    assert fake.vzlist("-aHo", "description").stdout == 'hello "w"\n'
