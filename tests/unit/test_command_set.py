"""vzctl set: the state matrix, what is applied, what is written, and that a failure leaves everything as
it was.
"""

import errno
import os

import pytest

from hostd.command.host import Facts
from hostd.config import names
from hostd.errors import Failure
from tests.harness.fake_host import Fake, Said

DOWN = "Unable to apply UBC parameters: container is not running\n"
LOST = "WARNING: Settings were not saved to config and will be lost after CT restart (use --save flag)\n"


def saved(fake: Fake, ctid: int = 101) -> str:
    return f"CT configuration saved to {fake.paths.ct_conf(ctid)}\n"


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


def test_one_that_is_about_to_come_up_again(fake: Fake) -> None:
    """A reboot from inside has read the configuration before: it is to be applied as well."""
    fake.ct(101, "CPUUNITS=8\n", mounted=True, unsettled=True)
    fake.host.coming[101] = Facts(exists=True, mounted=True, running=True)
    said = fake.ctl("set", "101", "--cpuunits", "2000", "--save")
    assert said == Said(0, "Setting CPU units: 2000\n" + saved(fake), "")
    assert fake.asked() == ["apply"] and fake.conf(101) == 'CPUUNITS="2000"\n'


def test_nothing_to_save(fake: Fake) -> None:
    fake.ct(101, "A=1\n")
    assert fake.ctl("set", "101", "--save") == Said(0, "No changes in CT configuration, not saving\n", "")
    assert fake.ctl("set", "101", "--onboot", "no", "--save") == Said(0, saved(fake), "")
    assert fake.ctl("set", "101", "--onboot", "no", "--save") == Said(0, saved(fake), "")


def test_a_configuration_is_made(fake: Fake) -> None:
    warning = f"WARNING: {fake.paths.ct_conf(555)} not found: No such file or directory\n"
    assert fake.ctl("set", "555", "--onboot", "yes", "--save") == Said(0, saved(fake, 555), warning)
    assert fake.conf(555) == 'ONBOOT="yes"\n'
    assert fake.ctl("set", "0", "--cpuunits", "2000", "--save").code == 0
    assert fake.conf(0).endswith('CPUUNITS="2000"\n')


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


@pytest.mark.parametrize("option", ["netif_add", "netif_del", "pci_add", "netdev_add",
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


def test_an_error_of_the_system_is_a_failure_to_apply_as_well(fake: Fake) -> None:
    fake.up(101, "A=1\n")
    fake.host.failure = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    not_saved = "Error: failed to apply some parameters, not saving configuration file!\n"
    why = "Error: No space left on device\n"
    assert fake.ctl("set", "101", "--hostname", "x", "--save") == Said(3, "", why + not_saved)
    assert fake.ctl("set", "101", "--hostname", "x") == Said(3, "", why)
    assert fake.conf(101) == "A=1\n"
    assert fake.ctl("set", "101", "--hostname", "x", "--save", "--force") == Said(3, saved(fake), why)
    assert fake.conf(101) == 'A=1\nHOSTNAME="x"\n'


def test_a_failing_save_takes_the_name_back(fake: Fake) -> None:
    fake.ct(101, 'NAME="old"\n')
    names.assign(fake.paths, 101, "old")
    path = fake.paths.ct_conf(101)
    os.rename(path, path + ".real")
    os.symlink("nowhere/else", path + ".link")
    os.rename(path + ".link", path)  # reads as absent, cannot be written
    said = fake.ctl("set", "101", "--name", "new", "--save")
    assert said.code == 139 and os.listdir(fake.paths.names_dir) == ["old"]
