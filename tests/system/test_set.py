"""set: the state matrix, what is written, and that live changes arrive in the kernel."""

import os
import re

import pytest

from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.needs import needs

pytestmark = pytest.mark.system

UNSAVED = "WARNING: Settings were not saved to config and will be lost after CT restart (use --save flag)"


def conf(vz: Vz, key: str, ctid: int = 101) -> str | None:
    found = re.search(rf'^{key}="(.*)"$', machine.read(vz.paths.ct_conf(ctid)), re.MULTILINE)
    return found[1] if found else None


def test_running_without_save_applies_and_warns(vz: Vz) -> None:
    vz.start(101)
    said = vz.ctl("set", "101", "--hostname", "live.example.org")
    assert UNSAVED in said.stdout + said.stderr
    assert vz.ctl("exec2", "101", "hostname").stdout == "live.example.org\n"
    assert conf(vz, "HOSTNAME") != "live.example.org"


def test_running_with_save_applies_and_writes(vz: Vz) -> None:
    vz.start(101)
    said = vz.ctl("set", "101", "--hostname", "saved.example.org", "--save")
    assert said.stdout.splitlines()[-1] == f"CT configuration saved to {vz.paths.ct_conf(101)}"
    assert vz.ctl("exec2", "101", "hostname").stdout == "saved.example.org\n"
    assert conf(vz, "HOSTNAME") == "saved.example.org"
    vz.ctl("restart", "101")
    assert vz.ctl("exec2", "101", "hostname").stdout == "saved.example.org\n"


def test_stopped_needs_save(vz: Vz) -> None:
    vz.create(101)
    said = vz.ctl("set", "101", "--hostname", "x.example.org", check=31)
    assert "Unable to apply UBC parameters: container is not running" in said.stdout + said.stderr
    vz.ctl("set", "101", "--hostname", "x.example.org", "--save")
    assert conf(vz, "HOSTNAME") == "x.example.org"


def test_save_with_nothing_to_save(vz: Vz) -> None:
    vz.create(101)
    assert vz.ctl("set", "101", "--save").stdout == "No changes in CT configuration, not saving\n"


def test_set_makes_a_configuration(vz: Vz) -> None:
    said = vz.ctl("set", "555", "--onboot", "yes", "--save")
    assert f"WARNING: {vz.paths.ct_conf(555)} not found" in said.stdout + said.stderr
    assert conf(vz, "ONBOOT", 555) == "yes"
    assert vz.status(555) == "deleted unmounted down"


def test_comments_and_unknown_keys_survive(vz: Vz) -> None:
    vz.create(101)
    path = vz.paths.ct_conf(101)
    with open(path, "a", encoding="ascii") as file:
        file.write('#UUID: 1234\nOFFLINE_MANAGEMENT="no"\nMY_KEY="mine"\n')
    vz.ctl("set", "101", "--description", "a b", "--save")
    text = machine.read(path)
    assert '#UUID: 1234\nOFFLINE_MANAGEMENT="no"\nMY_KEY="mine"\n' in text
    assert conf(vz, "DESCRIPTION") == "a b"


@pytest.mark.parametrize(
    ("option", "value", "key", "stored"),
    [
        ("--ram", "256M", "PHYSPAGES", "0:65536"),
        ("--swap", "1G", "SWAPPAGES", "0:262144"),
        ("--physpages", "1000", "PHYSPAGES", "1000"),
        ("--diskspace", "3G", "DISKSPACE", "3145728:3145728"),
        ("--diskspace", "2G:2.2G", "DISKSPACE", "2097152:2306867"),
        ("--cpulimit", "50", "CPULIMIT", "50"),
        ("--onboot", "yes", "ONBOOT", "yes"),
        ("--bootorder", "7", "BOOTORDER", "7"),
        ("--nameserver", "192.0.2.53", "NAMESERVER", "192.0.2.53"),
    ],
)
def test_values_are_stored_as_documented(vz: Vz, option: str, value: str, key: str, stored: str) -> None:
    vz.create(101)
    vz.ctl("set", "101", option, value, "--save")
    assert conf(vz, key) == stored


@needs("memory")
def test_memory_limit_is_live(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("set", "101", "--ram", "64M", "--swap", "0", "--save")
    files = [f"{c}/{name}" for c in machine.cgroups_named(vz.paths.cgroup_root) for name in
             ("memory.limit_in_bytes", "memory.max")]  # fmt: skip
    assert str(64 << 20) in [machine.read(path).strip() for path in files]
    eater = "a=x; while :; do a=$a$a; done"
    vz.ctl("exec2", "101", eater, check=None)
    assert vz.answers(101)


@needs("pids")
def test_numproc_is_live(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("set", "101", "--numproc", "12", "--save")
    said = vz.ctl("exec2", "101", "for i in $(seq 30); do sleep 30 & done; echo started", check=None)
    assert "fork" in said.stderr
    assert vz.vzlist("-H", "-o", "numproc.l", "101").strip() == "12"


def processes(vz: Vz) -> int:
    """Their number, when none comes or goes any more."""
    seen: list[int] = []

    def steady() -> bool:
        seen.append(int(vz.vzlist("-H", "-o", "numproc", "101")))
        return seen[-5:] == [seen[-1]] * 5

    machine.until("processes come and go no more", steady)
    return seen[-1]


@needs("pids")
def test_numproc_reached_is_said(vz: Vz) -> None:
    """By whatever wants to start a process, in one line, with what would help."""
    vz.start(101)
    vz.ctl("exec2", "101", "sleep 600 & sleep 600 & sleep 600 &")
    held = processes(vz)
    vz.ctl("set", "101", "--numproc", str(held))
    line = (
        f"numproc is reached: CT 101 may have {held} processes and threads "
        "(raise it with `vzctl set 101 --numproc N`)\n"
    )
    for verb, code in (("exec", 8), ("exec2", 6), ("exec3", 6)):
        said = vz.ctl(verb, "101", "true", check=code)
        assert (said.stdout, said.stderr) == ("", line)
    said = vz.ctl("enter", "101", check=6)
    assert (said.stdout, said.stderr) == ("", line)
    said = vz.ctl("set", "101", "--userpasswd", "root:secret", check=74)
    assert said.stderr == f"Password change failed: {line}"
    vz.ctl("set", "101", "--numproc", str(held + 1))
    assert processes(vz) == held
    said = vz.ctl("set", "101", "--userpasswd", "root:secret", check=74)  # the shell runs, and can start nothing
    assert said.stderr.endswith("(numproc is reached: raise it with `vzctl set 101 --numproc N`)\n")
    assert len(said.stderr.splitlines()) == 1
    assert processes(vz) == held
    said = vz.ctl("exec3", "101", "/bin/sh", "-c", "ls | cat; exit 3", check=None)
    remedy = "raise it with `vzctl set 101 --numproc N`"
    assert said.code and said.stderr.splitlines()[-1] == f"Warning: numproc was reached meanwhile: {remedy}"
    vz.ctl("set", "101", "--numproc", str(held + 10))
    vz.ctl("set", "101", "--userpasswd", "root:secret")
    vz.ctl("exec2", "101", "true")


@needs("cpu")
def test_cpus_and_units_are_live(vz: Vz) -> None:
    vz.start(101)
    said = vz.ctl("set", "101", "--cpulimit", "50", "--cpuunits", "2000", "--save").stdout
    assert "Setting CPU units: 2000" in said and "Setting CPU limit: 50" in said
    quota = [machine.read(f"{c}/{name}").split() for c in machine.cgroups_named(vz.paths.cgroup_root)
             for name in ("cpu.cfs_quota_us", "cpu.max")]  # fmt: skip
    assert any(words and words[0] == "50000" for words in quota)


def test_dns_arrives_inside(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("set", "101", "--nameserver", "192.0.2.53", "--nameserver", "2001:db8::53", "--searchdomain",
           "example.org", "--save")  # fmt: skip
    text = vz.ctl("exec2", "101", "cat /etc/resolv.conf").stdout
    assert "nameserver 192.0.2.53\nnameserver 2001:db8::53\n" in text
    assert "search example.org\n" in text
    vz.ctl("restart", "101")
    assert vz.ctl("exec2", "101", "cat /etc/resolv.conf").stdout == text


def test_failing_to_apply_saves_nothing(vz: Vz) -> None:
    vz.start(101)
    vz.start(102, "--ipadd", "192.0.2.7")
    before = machine.read(vz.paths.ct_conf(101))
    said = vz.ctl("set", "101", "--ipadd", "192.0.2.7", "--onboot", "yes", "--save", check=78)
    assert "failed to apply some parameters, not saving configuration file!" in said.stdout + said.stderr
    assert machine.read(vz.paths.ct_conf(101)) == before


def test_a_name_belongs_to_one(vz: Vz) -> None:
    vz.create(101)
    vz.create(102)
    vz.ctl("set", "101", "--name", "web", "--save")
    said = vz.ctl("set", "102", "--name", "web", "--save", check=131)
    assert "Conflict: name web already used by container 101" in said.stdout + said.stderr
    said = vz.ctl("set", "102", "--name", "other", check=131)
    assert "Error: unable to use --name option without --save" in said.stdout + said.stderr


def edit(vz: Vz, line: str) -> None:
    """The configuration of CT 101 by hand: *line* before all others, so it counts."""
    with open(vz.paths.ct_conf(101), "r+", encoding="utf-8") as file:
        text = file.read()
        file.seek(0)
        file.write(f"{line}\n{text}")


def numproc(vz: Vz) -> str:
    """As the kernel has it, v1 or v2."""
    tree = "/sys/fs/cgroup/pids" if os.path.isdir("/sys/fs/cgroup/pids") else "/sys/fs/cgroup"
    return machine.read(f"{tree}/{vz.paths.cgroup_root}/101/pids.max").strip()


@needs("pids")
def test_what_runs_counts_and_not_what_the_file_says_by_now(vz: Vz) -> None:
    """A file is meant to be edited; the same value given again takes effect all the same."""
    vz.start(101, "--hostname", "first")
    for line in ('NUMPROC="77:77"', 'IP_ADDRESS="192.0.2.5"', 'HOSTNAME="second"'):
        edit(vz, line)
    assert numproc(vz) != "77"
    said = vz.ctl("set", "101", "--numproc", "77", "--ipadd", "192.0.2.5", "--hostname", "second", "--save").stdout
    assert "UB limits were set successfully" in said and "Adding IP address(es): 192.0.2.5" in said
    assert numproc(vz) == "77"
    vz.ping("192.0.2.5")
    assert vz.ctl("exec2", "101", "hostname").stdout == "second\n"


def test_what_failed_is_tried_again(vz: Vz) -> None:
    vz.start(101)
    vz.start(102, "--ipadd", "192.0.2.2")
    vz.ctl("set", "101", "--ipadd", "192.0.2.2", "--save", "--force", check=78)
    vz.ctl("set", "101", "--ipadd", "192.0.2.2", "--save", check=78)
    vz.ctl("stop", "102", "--fast")
    assert "Adding IP address(es): 192.0.2.2" in vz.ctl("set", "101", "--ipadd", "192.0.2.2", "--save").stdout
    vz.ping("192.0.2.2")


@needs("pids")
def test_reset_ub_applies_the_file(vz: Vz) -> None:
    vz.start(101)
    before = numproc(vz)
    vz.ctl("set", "101", "--numproc", "500")
    assert numproc(vz) == "500"
    vz.ctl("set", "101", "--reset_ub")
    assert numproc(vz) == before
    edit(vz, 'NUMPROC="77:77"')
    vz.ctl("set", "101", "--reset_ub")
    assert numproc(vz) == "77"


def test_what_was_taken_away_is_not_shown(vz: Vz) -> None:
    vz.start(101, "--ipadd", "192.0.2.1")
    vz.ctl("set", "101", "--ipdel", "all")
    assert vz.vzlist("-H", "-o", "ip", "101").strip() == "-"


def test_restart_needed(vz: Vz) -> None:
    """What only a restart can change is not pretended: --setmode decides."""
    vz.start(101)
    before = vz.uptime_clock(101)
    vz.ctl("set", "101", "--diskspace", "2G", "--setmode", "ignore", "--save", check=32)
    assert vz.uptime_clock(101) == before
    vz.ctl("set", "101", "--diskspace", "3G", "--setmode", "restart", "--save")
    assert vz.uptime_clock(101) != before


def test_applyconfig(vz: Vz) -> None:
    vz.create(101)
    vz.ctl("set", "101", "--applyconfig", "vswap-512m", "--save")
    assert conf(vz, "PHYSPAGES") == "0:131072"
    vz.ctl("set", "101", "--applyconfig", "absent", "--save", check=109)


def test_password_of_a_stopped_container(vz: Vz) -> None:
    vz.create(101)
    vz.ctl("set", "101", "--userpasswd", "root:pass word")
    assert vz.status(101) == "exist unmounted down"
    vz.ctl("start", "101")
    assert re.match(r"root:\$", vz.ctl("exec2", "101", "cat /etc/shadow").stdout)


def test_passwords_of_a_mounted_container(vz: Vz) -> None:
    """It stays mounted; its address may be another's.  What is mounted below is in the way."""
    vz.create(101, "--ipadd", "192.0.2.1")
    vz.start(102, "--ipadd", "192.0.2.1")
    vz.ctl("mount", "101")
    vz.ctl("set", "101", "--userpasswd", "ann:secret", "--userpasswd", "bob:secret")
    assert vz.status(101) == "exist mounted down"
    root = vz.paths.root_default.replace("$VEID", "101")
    assert {"ann", "bob"} <= {line.partition(":")[0] for line in machine.read(f"{root}/etc/passwd").splitlines()}
    vz.run("mount", "-t", "tmpfs", "none", f"{root}/mnt")
    refused = vz.ctl("set", "101", "--userpasswd", "ann:other", check=41)
    assert refused.stderr.startswith(f"{root}/mnt is mounted in CT 101; unmount it first")
    vz.run("umount", f"{root}/mnt")
    vz.ctl("umount", "101")
