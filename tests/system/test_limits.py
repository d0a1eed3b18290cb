"""The limits of a running container, as it feels them: processors, memory nodes, and I/O at its own disk.

A rate is measured over seconds on a machine that does other things as well: it is never more than was allowed, and
at some time not so little that something else must have been the reason.
"""

import os
import time

import pytest

from hostd.config import files
from hostd.kernel import probes
from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS, needs
from tests.harness.reboots import reboot
from tests.system.test_processors import allowed

pytestmark = pytest.mark.system

MIB = 1 << 20
BURST = 1.25  # the kernel lets a slice of time through before it counts
SLOW = 0.4  # a machine that is busy with something else


def rate(vz: Vz, command: str, amount: int) -> float:
    """*amount* of something a second, which *command* does inside."""
    began = time.monotonic()
    vz.ctl("exec2", "101", command)
    return amount / (time.monotonic() - began)


def reaches(vz: Vz, command: str, amount: int, least: float, most: float = float("inf")) -> None:
    """A disk that others keep busy is measured again."""

    def enough() -> bool:
        found = rate(vz, command, amount)
        assert found < most, found
        return found > least

    machine.until(f"more than {least:.0f} a second", enough, 300)


def write(kind: str, mib: int) -> str:
    """*mib* MiB written to the container's disk; all of them are there at the end."""
    how = {"direct": "oflag=direct", "buffered": "conv=fsync"}[kind]
    return f"dd if=/dev/zero of=/root/big bs=1M count={mib} {how} 2>/dev/null && rm /root/big"


@needs("io")
@pytest.mark.parametrize("kind", ["direct", "buffered"])
def test_iolimit(vz: Vz, kind: str) -> None:
    vz.start(101)
    assert "Setting iolimit: 2097152 bytes/sec\n" in vz.ctl("set", "101", "--iolimit", "2", "--save").stdout
    assert vz.vzlist("-H", "-o", "iolimit", "101").strip() == "2097152"
    reaches(vz, write(kind, 6), 6 * MIB, SLOW * 2 * MIB, BURST * 2 * MIB)
    vz.ctl("set", "101", "--iolimit", "8M", "--save")
    reaches(vz, write(kind, 16), 16 * MIB, BURST * 2 * MIB, BURST * 8 * MIB)
    vz.ctl("set", "101", "--iolimit", "1")
    vz.ctl("set", "101", "--iolimit", "0")
    reaches(vz, write(kind, 24), 24 * MIB, BURST * 2 * MIB)


@needs("io")
def test_iopslimit(vz: Vz) -> None:
    vz.start(101)
    assert "Setting iopslimit: 100 iops\n" in vz.ctl("set", "101", "--iopslimit", "100").stdout
    small = "dd if=/dev/zero of=/root/small bs=4096 count=300 oflag=direct 2>/dev/null"
    reaches(vz, small, 300, SLOW * 100, BURST * 100)


@needs("io")
def test_iolimit_holds_after_a_reboot_from_inside(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("set", "101", "--iolimit", "4", "--save")
    reboot(vz)
    assert rate(vz, write("direct", 12), 12 * MIB) < BURST * 4 * MIB


@needs("io")
@CHECKPOINTS
def test_iolimit_holds_after_a_restore(vz: Vz) -> None:
    """Without --save: a checkpoint has what runs."""
    vz.start(101)
    vz.ctl("set", "101", "--iolimit", "4", "--cpumask", "0")
    vz.ctl("chkpnt", "101")
    vz.ctl("restore", "101")
    assert allowed(vz) == "0"
    assert rate(vz, write("direct", 12), 12 * MIB) < BURST * 4 * MIB
    vz.ctl("set", "101", "--iolimit", "0")
    reaches(vz, write("direct", 48), 48 * MIB, BURST * 4 * MIB)


@needs("io")
@pytest.mark.parametrize("kind", ["direct", "buffered"])
def test_iolimit_does_not_hold_up_a_stop(vz: Vz, kind: str) -> None:
    """With it this would take eleven minutes: no signal wakes who waits for a disk."""
    vz.start(101)
    vz.ctl("set", "101", "--iolimit", "100K")
    how = {"direct": "oflag=direct", "buffered": "conv=fsync"}[kind]
    vz.popen("vzctl", "exec", "101", f"dd if=/dev/zero of=/root/big bs=64M count=1 {how}")
    waits = "grep -q '^[0-9]* (dd) D' /proc/[0-9]*/stat"
    machine.until("dd waits", lambda: vz.ctl("exec", "101", waits, check=None).code == 0)
    began = time.monotonic()
    vz.ctl("stop", "101", "--fast")
    assert time.monotonic() - began < 300


def test_simfs_has_no_disk_to_limit(vz: Vz) -> None:
    vz.start(101, "--layout", "simfs")
    said = vz.ctl("set", "101", "--iolimit", "4", "--iopslimit", "100", "--save").stdout
    line = "Warning: layout simfs does not enforce IOLIMIT and IOPSLIMIT; layout overlay does"
    assert said.splitlines().count(line) == 1
    assert line in vz.ctl("restart", "101").stdout.splitlines()


@needs("io", "cpuset")
def test_all_or_nothing(vz: Vz) -> None:
    """What comes last fails: all before it is as it was, in the kernel."""
    vz.start(101)
    before, names = allowed(vz), names_inside(vz)
    vz.ctl("exec2", "101", "mount -t tmpfs none /dev/pts")
    given = ("--iolimit", "1", "--cpumask", "0", "--hostname", "x", "--ipadd", "192.0.2.7", "--devices", "c:10:229:rw")
    later = ("--nameserver", "192.0.2.53", "--numpty", "5", "--numsiginfo", "77")
    said = vz.ctl("set", "101", *given, *later, "--save", check=1)
    assert said.stderr.splitlines() == [
        "cannot set NUMPTY to 5: something else is mounted there",
        "Error: failed to apply some parameters, not saving configuration file!",
    ]
    assert allowed(vz) == before and rlimit(vz, "Max pending signals") != ["77", "77"]
    assert vz.ctl("exec2", "101", "hostname").stdout == "ct101\n" and names_inside(vz) == names
    assert vz.vzlist("-H", "-o", "iolimit,ip", "101").split() == ["-", "-"]
    reaches(vz, write("direct", 24), 24 * MIB, BURST * MIB)


def names_inside(vz: Vz) -> str:
    """The files of which the configuration says nothing, or that there are none."""
    look = "cd /etc; ls hostname resolv.conf; readlink resolv.conf; cat hostname resolv.conf"
    return vz.ctl("exec2", "101", look, check=None).stdout


def test_nothing_of_a_set_that_was_cut_off(vz: Vz) -> None:
    """The files and the name that it has changed are not in the configuration of before."""
    vz.start(101)
    vz.ctl("exec2", "101", "cd /etc; rm -f hostname; ln -sf ../run/stub.conf resolv.conf")
    before, fault = names_inside(vz), f"{vz.prefix}/fault"
    vz.stop_hostd()
    vz.env["VZ_FAULT"] = f"@{fault}"
    files.replace(fault, "set.inner:daemon")
    vz.ctl("set", "101", "--hostname", "x", "--nameserver", "192.0.2.53", check=None)
    machine.until("it was cut off", lambda: not os.path.exists(fault))
    assert vz.ctl("exec2", "101", "hostname").stdout == "ct101\n" and names_inside(vz) == before
    vz.ctl("set", "101", "--hostname", "y")
    assert "y\n" in names_inside(vz) and vz.ctl("exec2", "101", "hostname").stdout == "y\n"


def in_proc(vz: Vz, name: str) -> str:
    return vz.ctl("exec2", "101", f"cat /proc/sys/kernel/{name}").stdout.strip()


def rlimit(vz: Vz, row: str) -> list[str]:
    """Soft and hard limit, as /proc tells them, of what PID 1 starts inside."""
    return vz.ctl("exec2", "101", f"grep '^{row}' /proc/self/limits").stdout.removeprefix(row).split()[:2]


def terminals(vz: Vz) -> int:
    """How many there are when a program inside wants seven more."""
    script = """
        for i in 3 4 5 6 7 8 9; do eval "command exec $i<>/dev/ptmx" 2>/dev/null || break; done
        ls /dev/pts | grep -c '^[0-9]'
    """
    return int(vz.ctl("exec3", "101", "/bin/sh", "-c", script).stdout)


def test_limits_without_a_cgroup(vz: Vz) -> None:
    """Those of PID 1 and of its namespaces: at a start, live, and again after a reboot from inside."""
    vz.create(101)
    before = ("--numsiginfo", "300:300", "--lockedpages", "100", "--shmpages", "2000")
    vz.ctl("set", "101", *before, "--save")
    vz.ctl("start", "101")
    assert rlimit(vz, "Max pending signals") == ["300", "300"]
    assert rlimit(vz, "Max locked memory") == [str(100 * 4096)] * 2
    assert (in_proc(vz, "shmall"), in_proc(vz, "shmmax")) == ("2000", str(2000 * 4096))
    ours = machine.read("/proc/sys/kernel/shmall")
    after = ("--numsiginfo", "200", "--lockedpages", "50", "--shmpages", "1000")
    assert "UB limits were set successfully\n" in vz.ctl("set", "101", *after, "--save").stdout
    assert rlimit(vz, "Max pending signals") == ["200", "200"]
    assert rlimit(vz, "Max locked memory") == [str(50 * 4096)] * 2
    assert (in_proc(vz, "shmall"), in_proc(vz, "shmmax")) == ("1000", str(1000 * 4096))
    assert machine.read("/proc/sys/kernel/shmall") == ours
    assert vz.vzlist("-H", "-o", "shmpages.l,lockedpages.l,numsiginfo.l", "101").split() == ["1000", "50", "200"]
    reboot(vz)
    assert rlimit(vz, "Max pending signals") == ["200", "200"] and in_proc(vz, "shmall") == "1000"
    vz.ctl("set", "101", "--shmpages", "unlimited")
    assert in_proc(vz, "shmall") == ours.strip()


def test_numpty(vz: Vz) -> None:
    vz.create(101)
    vz.ctl("set", "101", "--numpty", "4", "--save")
    vz.ctl("start", "101")
    mounted = "grep ' /dev/pts ' /proc/mounts"
    assert "max=4" in vz.ctl("exec2", "101", mounted).stdout
    assert terminals(vz) == 4
    vz.ctl("set", "101", "--numpty", "6", "--save")
    assert terminals(vz) == 6
    options = vz.ctl("exec2", "101", mounted).stdout
    assert "max=6" in options and "ptmxmode=666" in options and "mode=620" in options
    vz.ctl("set", "101", "--numpty", "unlimited")
    assert terminals(vz) >= 7
    vz.ctl("set", "101", "--numpty", "5", "--save")
    assert terminals(vz) == 5
    reboot(vz)
    assert terminals(vz) == 5


def test_fewer_terminals_than_the_consoles_take(vz: Vz) -> None:
    """It starts all the same."""
    vz.create(101)
    vz.ctl("set", "101", "--numpty", "0", "--lockedpages", "0", "--numsiginfo", "1", "--shmpages", "0", "--save")
    vz.ctl("start", "101")
    assert vz.answers(101)
    reboot(vz)


def test_raising_a_limit_of_pid_1(vz: Vz) -> None:
    """It takes CAP_SYS_RESOURCE; without, nothing is changed, and a line says why."""
    vz.start(101)
    vz.ctl("set", "101", "--lockedpages", "10")
    said = vz.ctl("set", "101", "--lockedpages", "20", "--cpuunits", "500", check=None)
    if probes.sys_resource():
        assert said.code == 0 and rlimit(vz, "Max locked memory") == [str(20 * 4096)] * 2
        return
    why = "Operation not permitted (raising it takes CAP_SYS_RESOURCE, which hostd has not)"
    assert (said.code, said.stderr) == (1, f"cannot set LOCKEDPAGES to 20: {why}\n")
    assert rlimit(vz, "Max locked memory") == [str(10 * 4096)] * 2


@needs("cgroup1", "cpuset")
def test_cpumask_reaches_cgroups_inside(vz: Vz) -> None:
    """A set of v1 that is not empty cannot be smaller than one below it."""
    vz.start(101)
    (top,) = [c for c in machine.cgroups_named(vz.paths.cgroup_root) if "/cpuset/" in c and c.endswith("/101")]
    os.makedirs(f"{top}/inner/deep")
    every = machine.read(f"{top}/inner/deep/cpuset.cpus")
    vz.ctl("set", "101", "--cpumask", "0")
    assert machine.read(f"{top}/inner/deep/cpuset.cpus") == "0\n"
    vz.ctl("set", "101", "--cpumask", "all")
    assert machine.read(f"{top}/inner/deep/cpuset.cpus") == every


@CHECKPOINTS
def test_limits_without_a_cgroup_after_a_restore(vz: Vz) -> None:
    """A checkpoint has them; what is set meanwhile they become."""
    vz.start(101)
    vz.ctl("set", "101", "--numpty", "5", "--shmpages", "900", "--numsiginfo", "90", "--numfile", "300")
    vz.ctl("chkpnt", "101")
    vz.ctl("set", "101", "--shmpages", "800", "--save")
    vz.ctl("restore", "101")
    assert in_proc(vz, "shmall") == "800"
    assert rlimit(vz, "Max pending signals") == ["90", "90"] and rlimit(vz, "Max open files") == ["300", "300"]
    assert "max=5" in vz.ctl("exec2", "101", "grep ' /dev/pts ' /proc/mounts").stdout
    vz.ctl("set", "101", "--numpty", "6")
    assert "max=6" in vz.ctl("exec2", "101", "grep ' /dev/pts ' /proc/mounts").stdout
