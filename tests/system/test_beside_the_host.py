"""What all containers have together against the host and each other: weight of processors, memory that is theirs."""

import pytest

from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.needs import needs

pytestmark = pytest.mark.system


@needs("cpu")
def test_the_host_has_a_weight_beside_containers(vz: Vz) -> None:
    """By the file of the cgroup that has all containers, also when it is another daemon's."""
    vz.create(101)
    vz.ctl("set", "101", "--cpuunits", "2000", "--save")
    vz.ctl("start", "101")
    assert ours(vz) == 2
    vz.start(102)
    assert ours(vz) == 3
    vz.ctl("set", "102", "--cpuunits", "4000")
    assert ours(vz) == 6
    path = vz.paths.vz_conf
    text = machine.read(path).replace('VE0CPUUNITS="1000"', 'VE0CPUUNITS="2000"')
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    vz.kill_daemon()
    assert "running" in vz.status(101) and ours(vz) == 3
    vz.ctl("stop", "102", "--fast")
    assert ours(vz) == 1


def ours(vz: Vz) -> float:
    """The weight of all containers together, where one with 1000 units has 1."""
    for top in machine.cgroups_named(vz.paths.cgroup_root):
        for name, default in (("cpu.shares", 1024), ("cpu.weight", 100)):
            if top.endswith(f"/{vz.paths.cgroup_root}") and (text := machine.read(f"{top}/{name}").strip()):
                return int(text) / default
    raise AssertionError("they have no weight")


@needs("cgroup1", "memory")
def test_guarantees_need_v2(vz: Vz) -> None:
    vz.start(101)
    line = "Warning: cgroups v1 do not enforce VMGUARPAGES; v2 does"
    assert line in vz.ctl("set", "101", "--vmguarpages", "1000:unlimited").stdout.splitlines()


@needs("cgroup2", "memory")
def test_guarantees(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("set", "101", "--vmguarpages", "1000:unlimited", "--oomguarpages", "500")
    (top,) = {c.rpartition("/")[0] for c in machine.cgroups_named(vz.paths.cgroup_root) if c.endswith("/101")}
    for place in (top, f"{top}/101"):
        assert machine.read(f"{place}/memory.low").strip() == str(1000 * 4096)
        assert machine.read(f"{place}/memory.min").strip() == str(500 * 4096)
    vz.ctl("stop", "101", "--fast")
    assert machine.read(f"{top}/memory.low").strip() == "0"
