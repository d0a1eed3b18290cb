"""On which processors containers run, and how many they see."""

import os

import pytest

from hostd.kernel import topology
from tests.harness.installation import Vz
from tests.harness.needs import needs
from tests.harness.reboots import reboot

pytestmark = pytest.mark.system


def allowed(vz: Vz, ctid: int = 101) -> str:
    """The processors that a process inside may run on."""
    return vz.ctl("exec2", str(ctid), "grep Cpus_allowed_list /proc/self/status").stdout.split()[1]


@needs("cpuset")
def test_cpumask_is_live_and_lasts(vz: Vz) -> None:
    vz.start(101)
    every = allowed(vz)
    assert vz.ctl("set", "101", "--cpumask", "0", "--nodemask", "0", "--save").stdout.splitlines()[:2] == [
        "Setting CPU mask: 0", "Setting NUMA node mask: 0"
    ]  # fmt: skip
    assert allowed(vz) == "0"
    reboot(vz)
    assert allowed(vz) == "0"
    vz.ctl("set", "101", "--cpumask", "all")
    assert allowed(vz) == every
    vz.ctl("set", "101", "--cpumask", "auto", "--save")
    assert allowed(vz) == topology.processors_of(0)


@needs("cpuset", "cpu")
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor: nothing to choose")
def test_cpus_is_the_number_that_programs_see(vz: Vz) -> None:
    every = len(os.sched_getaffinity(0))
    for ctid in (101, 102):
        vz.start(ctid)
        vz.ctl("set", str(ctid), "--cpus", "1", "--save")
        assert vz.ctl("exec2", str(ctid), "nproc").stdout == "1\n"
        online = vz.ctl("exec2", str(ctid), "cat /sys/devices/system/cpu/online").stdout
        assert online == f"{allowed(vz, ctid)}\n"
    assert allowed(vz, 101) != allowed(vz, 102)
    mine = allowed(vz, 102)
    vz.ctl("set", "102", "--cpumask", mine, "--save")
    reboot(vz)
    assert allowed(vz, 101) not in (mine, topology.online("cpu"))
    vz.ctl("set", "101", "--cpumask", "all")  # the time of one, wherever
    assert vz.ctl("exec2", "101", "nproc").stdout == f"{every}\n"
    assert vz.ctl("exec2", "101", "grep -c ^processor /proc/cpuinfo").stdout == "1\n"
    vz.ctl("set", "101", "--cpus", str(every))
    assert vz.ctl("exec2", "101", "grep -c ^processor /proc/cpuinfo").stdout == f"{every}\n"


@needs("cpuset", "cpu")
@pytest.mark.skipif(len(os.sched_getaffinity(0)) != 2, reason="where they go is known of two processors")
def test_who_stays_moves_to_where_there_is_room(vz: Vz) -> None:
    for ctid in (101, 102, 103):
        vz.create(ctid)
        vz.ctl("set", str(ctid), "--cpus", "1", "--save")
        vz.ctl("start", str(ctid))
    where = {ctid: allowed(vz, ctid) for ctid in (101, 102, 103)}
    assert where[101] == where[103] != where[102]
    vz.ctl("stop", "102", "--fast")
    assert allowed(vz, 101) != allowed(vz, 103)


@needs("cpuset")
def test_processors_that_are_not_there(vz: Vz) -> None:
    """Refused in one line, together with all else that was to be set; and at a start, as from another host's file."""
    vz.start(101)
    said = vz.ctl("set", "101", "--cpumask", "0,4000", "--cpuunits", "500", "--save", check=21)
    online = topology.online("cpu")
    line = f'CPUMASK="0,4000": this machine has no processors 4000 (it has {online})\n'
    assert (said.stdout, said.stderr) == ("", line)
    vz.ctl("stop", "101", "--fast")
    with open(vz.paths.ct_conf(101), "a", encoding="ascii") as file:
        file.write('CPUMASK="0,4000"\n')
    said = vz.ctl("start", "101", check=21)
    assert said.stderr.endswith(line)
    assert vz.status(101) == "exist unmounted down"
