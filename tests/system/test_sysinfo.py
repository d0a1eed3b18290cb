"""sysinfo(2), which `free` of busybox and sysconf(3) of the C libraries ask: with the container's own limits, live."""

import pytest

from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS, needs
from tests.harness.swap import GROUP

pytestmark = [pytest.mark.system, needs("sysinfo", "memory")]

MIB = 1024  # KiB


def free(vz: Vz, ctid: int) -> dict[str, list[int]]:
    """KiB: total, used, free, shared of memory; total, used, free of swap.  These columns are of sysinfo(2)."""
    lines = vz.ctl("exec2", str(ctid), "free -k").stdout.splitlines()
    return {line.split(":")[0]: [int(word) for word in line.split()[1:]] for line in lines[1:]}


def test_every_change_is_seen_at_once(vz: Vz) -> None:
    vz.create(101)
    vz.ctl("set", "101", "--ram", "64M", "--save")
    vz.ctl("start", "101")
    total, _, left, shared = free(vz, 101)["Mem"][:4]
    assert total == 64 * MIB and 32 * MIB < left < 64 * MIB and shared == 0
    vz.ctl("exec2", "101", "head -c 20m /dev/zero >/dev/shm/some")
    assert free(vz, 101)["Mem"][2] < left - 19 * MIB
    vz.ctl("set", "101", "--ram", "96M", "--save")
    assert free(vz, 101)["Mem"][0] == 96 * MIB


def test_who_asks_from_a_group_inside(vz: Vz) -> None:
    vz.create(101)
    vz.ctl("set", "101", "--ram", "64M", "--save")
    vz.ctl("start", "101")
    inner = "mkdir -p /sys/fs/cgroup/a/b && echo $$ >/sys/fs/cgroup/a/b/cgroup.procs && free -k"
    assert f" {64 * MIB} " in vz.ctl("exec2", "101", inner).stdout


@GROUP
def test_others_are_told_what_they_were(vz: Vz) -> None:
    """The host, and a container without a limit."""
    host = machine.sysinfo()
    vz.create(101)
    vz.ctl("set", "101", "--ram", "64M", "--save")
    vz.create(102)
    vz.ctl("set", "102", "--ram", "unlimited", "--save")
    for ctid in (101, 102):
        vz.ctl("start", str(ctid))
    assert machine.sysinfo() == host
    assert free(vz, 102)["Mem"][0] == host.ram // 1024
    assert free(vz, 101)["Swap"][0] <= host.swap // 1024


@pytest.mark.parametrize("who", ["daemon", "both"])
def test_it_goes_on_after_a_death(vz: Vz, who: str) -> None:
    vz.create(101)
    vz.ctl("set", "101", "--ram", "64M", "--save")
    vz.ctl("start", "101")
    vz.kill_daemon() if who == "daemon" else vz.kill_both()
    vz.ctl("status", "101")
    machine.until("told of its own", lambda: free(vz, 101)["Mem"][0] == 64 * MIB)


@CHECKPOINTS
def test_a_restored_container_is_told_the_same(vz: Vz) -> None:
    vz.create(101)
    vz.ctl("set", "101", "--ram", "64M", "--save")
    vz.ctl("start", "101")
    vz.ctl("chkpnt", "101")
    vz.stop_hostd()
    vz.ctl("restore", "101")
    assert free(vz, 101)["Mem"][0] == 64 * MIB
