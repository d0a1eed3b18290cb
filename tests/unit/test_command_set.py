"""vzctl set: the state matrix, what is applied, what is written, and that a failure leaves everything as
it was.
"""

import os

import pytest

from hostd.command.host import Facts
from hostd.config import names
from hostd.config.addresses import addresses, addresses_text
from hostd.errors import Failure
from tests.harness.fake_host import Fake, Said

DOWN = "Unable to apply UBC parameters: container is not running\n"
LOST = "WARNING: Settings were not saved to config and will be lost after CT restart (use --save flag)\n"


@pytest.fixture
def fake(tmp_path: os.PathLike[str]) -> Fake:
    return Fake(str(tmp_path))


def saved(fake: Fake, ctid: int = 101) -> str:
    return f"CT configuration saved to {fake.paths.ct_conf(ctid)}\n"


def ips(text: str) -> tuple[object, ...]:
    return addresses(text)


# The state matrix


@pytest.mark.parametrize("argv", [[], ["--hostname", "x"], ["--cpuunits", "9"], ["--name", ""]])
def test_down_without_save(fake: Fake, argv: list[str]) -> None:
    fake.ct(101, "A=1\n")
    code = 131 if "--name" in argv else 31
    assert fake.ctl("set", "101", *argv).code == code
    assert fake.conf(101) == "A=1\n" and fake.asked() == []


def test_down_without_save_says_ubc(fake: Fake) -> None:
    fake.ct(101)
    assert fake.ctl("set", "101", "--onboot", "yes") == Said(31, "", DOWN)


def test_down_with_save_writes_only(fake: Fake) -> None:
    fake.ct(101, '# mine\n#UUID: 7\nMY="x"\nCPUUNITS=8\n')
    said = fake.ctl("set", "101", "--save", "--cpuunits", "2000", "--onboot", "yes", "--hostname", "a.b")
    assert said == Said(0, saved(fake), "")
    assert fake.conf(101) == '# mine\n#UUID: 7\nMY="x"\nCPUUNITS="2000"\nHOSTNAME="a.b"\nONBOOT="yes"\n'
    assert fake.asked() == []


def test_running_with_save_applies_and_writes(fake: Fake) -> None:
    fake.up(101, "CPUUNITS=8\n")
    said = fake.ctl("set", "101", "--cpuunits", "2000", "--save")
    assert said == Said(0, "Setting CPU units: 2000\n" + saved(fake), "")
    (change,) = fake.host.changes
    assert (change.before.cpuunits, change.after.cpuunits, change.keys) == (8, 2000, frozenset(("CPUUNITS",)))
    assert fake.conf(101) == 'CPUUNITS="2000"\n'


def test_running_without_save_applies_and_warns(fake: Fake) -> None:
    fake.up(101, "CPUUNITS=8\n")
    said = fake.ctl("set", "101", "--cpuunits", "2000")
    assert said == Said(0, "Setting CPU units: 2000\n" + LOST, "")
    assert fake.asked() == ["apply"] and fake.conf(101) == "CPUUNITS=8\n"


def test_nothing_to_save(fake: Fake) -> None:
    fake.ct(101, "A=1\n")
    assert fake.ctl("set", "101", "--save") == Said(0, "No changes in CT configuration, not saving\n", "")
    assert fake.ctl("set", "101", "--onboot", "no", "--save") == Said(0, saved(fake), "")
    assert fake.ctl("set", "101", "--onboot", "no", "--save") == Said(0, saved(fake), "")


def test_a_configuration_is_made(fake: Fake) -> None:
    warning = f"WARNING: {fake.paths.ct_conf(555)} not found: No such file or directory\n"
    assert fake.ctl("set", "555", "--onboot", "yes", "--save") == Said(0, saved(fake, 555), warning)
    assert fake.conf(555) == 'ONBOOT="yes"\n'
    assert fake.ctl("set", "0", "--cpuunits", "1000", "--save").code == 0
    assert fake.conf(0) == 'CPUUNITS="1000"\n'


def test_new_keys_in_the_order_of_openvz(fake: Fake) -> None:
    line = (
        "--save --stop-timeout 5 --iopslimit 3 --name n --diskinodes 9 --onboot no --cpus 1 "
        "--ipadd 192.0.2.1 --capability kill:on --ram 1G -k 1"
    )
    fake.ctl("set", "5", *line.split())
    keys = [line.partition("=")[0] for line in fake.conf(5).splitlines()]
    expected = "KMEMSIZE PHYSPAGES CAPABILITY IP_ADDRESS CPUS ONBOOT DISKINODES NAME IOPSLIMIT STOP_TIMEOUT"
    assert keys == expected.split()


# All or nothing


def test_a_bad_value_changes_nothing(fake: Fake) -> None:
    fake.up(101, "A=1\n")
    said = fake.ctl("set", "101", "--save", "--name", "n", "--onboot", "yes", "--cpuunits", "7")
    assert said == Said(21, "", "Bad parameter for --cpuunits: 7 (must be from 8 to 500000)\n")
    assert fake.conf(101) == "A=1\n" and fake.asked() == [] and os.listdir(fake.paths.names_dir) == []


@pytest.mark.parametrize("option", ["netif_add", "netif_del", "devices", "devnodes", "pci_add", "netdev_add",
                                    "iptables", "bindmount_add", "dhcp"])  # fmt: skip
def test_what_is_not_supported_says_so(fake: Fake, option: str) -> None:
    fake.up(101, "A=1\n")
    said = fake.ctl("set", "101", "--save", "--onboot", "yes", f"--{option}", "x")
    assert said == Said(21, "", f"--{option} is not supported yet\n")
    assert fake.conf(101) == "A=1\n" and fake.asked() == []


def test_failing_to_apply_saves_nothing(fake: Fake) -> None:
    fake.up(101, "A=1\n")
    fake.host.failure = Failure(1, "memory is in use")
    not_saved = "Error: failed to apply some parameters, not saving configuration file!\n"
    said = fake.ctl("set", "101", "--ram", "1M", "--onboot", "yes", "--save")
    assert said == Said(1, "", "memory is in use\n" + not_saved)
    assert fake.ctl("set", "101", "--ram", "1M") == Said(1, "", "memory is in use\n")
    assert fake.conf(101) == "A=1\n"


def test_force_saves_anyway(fake: Fake) -> None:
    fake.up(101)
    fake.host.failure = Failure(1, "memory is in use")
    said = fake.ctl("set", "101", "--ram", "1M", "--save", "--force")
    assert said == Said(1, saved(fake), "memory is in use\n")
    assert fake.conf(101) == 'PHYSPAGES="0:256"\n'
    assert fake.ctl("set", "101", "--force", "--ram", "1M").code == 20


def test_a_failing_save_takes_the_name_back(fake: Fake) -> None:
    fake.ct(101, 'NAME="old"\n')
    names.assign(fake.paths, 101, "old")
    path = fake.paths.ct_conf(101)
    os.rename(path, path + ".real")
    os.symlink("nowhere/else", path + ".link")
    os.rename(path + ".link", path)  # reads as absent, cannot be written
    said = fake.ctl("set", "101", "--name", "new", "--save")
    assert said.code == 139 and os.listdir(fake.paths.names_dir) == ["old"]


# Addresses


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


# Restart, passwords, samples, the rest


def test_what_needs_a_restart(fake: Fake) -> None:
    fake.up(101, "A=1\n")
    assert fake.ctl("set", "101", "--features", "nfs:on").code == 32
    assert fake.conf(101) == "A=1\n"
    said = fake.ctl("set", "101", "--features", "nfs:on", "--save")
    assert said.code == 0 and "--setmode restart" in said.stdout and said.stderr == ""
    assert fake.ctl("set", "101", "--features", "nfs:off", "--save", "--setmode", "ignore").code == 32
    assert fake.asked() == ["apply", "apply"]
    said = fake.ctl("set", "101", "--features", "nfs:on", "--save", "--setmode", "restart")
    assert said.code == 0 and "Restarting container\n" in said.stdout
    assert fake.asked() == ["apply", "apply", "apply", "stop", "start"]
    assert 'FEATURES="nfs:on"' in fake.conf(101)


@pytest.mark.parametrize("option", ["--root", "--private"])
def test_places_do_not_change_while_running(fake: Fake, option: str) -> None:
    fake.up(101, "A=1\n")
    assert fake.ctl("set", "101", option, "/srv/x", "--save").code == 32
    assert fake.conf(101) == "A=1\n"
    fake.ct(101)
    assert fake.ctl("set", "101", option, "/srv/x", "--save").code == 0


def test_password(fake: Fake) -> None:
    fake.ct(101, "A=1\n")
    assert fake.ctl("set", "101", "--userpasswd", "root:a:b") == Said(0, "", "")
    assert fake.host.calls == [("set_password", 101, "root", "a:b")]
    assert fake.ctl("set", "101", "--userpasswd", "root:x", "--onboot", "yes") == Said(31, "", DOWN)
    said = fake.ctl("set", "101", "--userpasswd", "secret")
    assert said.code == 21 and "must be USER:PASSWORD" in said.stderr
    assert "x" not in fake.conf(101)
    fake.host.failure = Failure(74, "Password change failed")
    assert fake.ctl("set", "101", "--userpasswd", "root:x") == Said(74, "", "Password change failed\n")


def test_a_password_is_never_printed(fake: Fake) -> None:
    fake.ct(101)
    said = fake.ctl("set", "101", "--userpasswd", "root:geheim\nx")
    assert said.code == 21 and "geheim" not in said.stderr


def test_applyconfig(fake: Fake) -> None:
    fake.ct(101, 'HOSTNAME="h"\nCPUUNITS="8"\nOSTEMPLATE="t"\n')
    said = fake.ctl(
        "set", "101", "--applyconfig", "vswap-512m", "--netfilter", "full", "--hostname", "x", "--save"
    )
    assert said.code == 0
    conf = fake.conf(101)
    for line in ('PHYSPAGES="0:131072"', 'NETFILTER="stateless"', 'HOSTNAME="x"', 'CPUUNITS="1000"',
                 'OSTEMPLATE="t"', 'ORIGIN_SAMPLE="vswap-512m"'):  # fmt: skip
        assert line in conf.splitlines()
    path = fake.paths.sample_conf("none")
    said = fake.ctl("set", "101", "--applyconfig", "none", "--save")
    assert said == Said(109, "", f"Sample config file not found: {path}\n") and fake.conf(101) == conf


def test_reset_ub(fake: Fake) -> None:
    fake.up(101, 'PHYSPAGES="0:256"\n')
    assert fake.ctl("set", "101", "--reset_ub") == Said(0, "UB limits were set successfully\n", "")
    (change,) = fake.host.changes
    assert {"PHYSPAGES", "NUMPROC"} <= change.keys and change.before.ram == change.after.ram == 1 << 20
    said = fake.ctl("set", "101", "--reset_ub", "--save")
    assert said == Said(20, "", "Error: option --reset_ub is exclusive\n")


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["--setmode", "restart", "--onboot", "yes"], 20),
        (["--setmode", "later", "--save"], 21),
        (["--ostemplate", "x"], 20),
        (["--stop-timeout", "5"], 20),
        (["--applyconfig_map", "x", "--save"], 21),
        (["--diskspace", "5G"], 20),
        (["x"], 20),
    ],
)
def test_options_that_do_not_go_together(fake: Fake, argv: list[str], code: int) -> None:
    fake.up(101, "A=1\n")
    assert fake.ctl("set", "101", *argv).code == code
    assert fake.conf(101) == "A=1\n" and fake.asked() == []


def test_what_is_not_enforced_is_said(fake: Fake) -> None:
    fake.ct(101)
    said = fake.ctl("set", "101", "--iolimit", "5", "--kmemsize", "10M:11M", "--save")
    assert said == Said(0, "Warning: --iolimit is stored, and not enforced yet\n" + saved(fake), "")
    assert fake.conf(101) == 'KMEMSIZE="10485760:11534336"\nIOLIMIT="5242880"\n'
    assert "Warning" not in fake.ctl("set", "101", "--iolimit", "0", "--save").stdout


def test_limits_are_told(fake: Fake) -> None:
    fake.up(101)
    said = fake.ctl("set", "101", "--ram", "256M", "--numproc", "9", "--cpulimit", "50", "--cpus", "2")
    assert said.stdout == "UB limits were set successfully\nSetting CPU limit: 50\nSetting CPUs: 2\n" + LOST
    (change,) = fake.host.changes
    assert (change.after.ram, change.after.numproc, change.before.ram) == (256 << 20, 9, None)


def test_quiet(fake: Fake) -> None:
    fake.ct(101)
    assert fake.ctl("--quiet", "set", "101", "--onboot", "yes", "--save") == Said(0, "", "")
    assert fake.ctl("--quiet", "set", "101", "--onboot", "x", "--save") == Said(21, "", "")


def test_a_broken_file_can_be_repaired(fake: Fake) -> None:
    fake.ct(101, 'CPUUNITS="heavy"\nIP_ADDRESS="300.1.1.1 192.0.2.1"\n')
    assert fake.ctl("set", "101", "--cpuunits", "1000", "--ipadd", "192.0.2.2", "--save").code == 0
    assert fake.conf(101) == 'CPUUNITS="1000"\nIP_ADDRESS="192.0.2.1 192.0.2.2"\n'
