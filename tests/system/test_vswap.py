"""VSwap: what a container wants beyond its RAM goes to its swap, beyond both one of its processes is killed, and its
neighbours notice nothing of either.
"""

import subprocess
from collections.abc import Iterator

import pytest

from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.needs import needs
from tests.harness.swap import GROUP, none, swap

pytestmark = [pytest.mark.system, GROUP, needs("memory", "swap-accounting")]

MIB = 1 << 20
PAGE = 4096


@pytest.fixture
def swapping(vz: Vz) -> Iterator[Vz]:
    """CT 101 with a little RAM and swap, its neighbour CT 102, and a host that has swap."""
    with swap(vz.prefix):
        vz.start(101)
        vz.start(102)
        vz.ctl("set", "101", "--ram", "64M", "--swap", "256M", "--save")
        yield vz
        for ctid in (101, 102):  # or swap could not be taken away while they use it
            vz.ctl("stop", str(ctid), "--fast")


def hold(vz: Vz, mib: int) -> "subprocess.Popen[str]":
    """A process in CT 101 that keeps so much memory, once this returns.  Not of zeros, which need no place in swap."""
    keep = f"yes | dd bs={mib}M count=1 iflag=fullblock 2>/dev/null"
    command = f"{keep} | {{ head -c 1 >/dev/null; echo held; exec sleep 1000; }}"
    child = vz.popen("vzctl", "exec2", "101", command)
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    return child


def figures(vz: Vz, ctid: int, *fields: str) -> list[int]:
    return [int(word) for word in vz.vzlist("-H", "-o", ",".join(fields), str(ctid)).split()]


def limits(vz: Vz) -> list[str]:
    """Of RAM and swap of CT 101, as the kernel has them."""
    names = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.max", "memory.swap.max")
    cgroups = [path for path in machine.cgroups_named(vz.paths.cgroup_root) if path.endswith("/101")]
    return [text for path in cgroups for name in names if (text := machine.read(f"{path}/{name}").strip())]


def quiet(vz: Vz) -> None:
    """The neighbour answers, was refused nothing and has nothing in swap."""
    assert vz.answers(102)
    assert figures(vz, 102, "physpages.f", "swappages.f", "swappages") == [0, 0, 0]


def test_beyond_ram_is_its_own_swap(swapping: Vz) -> None:
    vz = swapping
    child = hold(vz, 150)
    ram, swapped = figures(vz, 101, "physpages", "swappages")
    assert ram * PAGE <= 64 * MIB and swapped * PAGE >= (150 - 64) * MIB
    assert figures(vz, 101, "physpages.m")[0] * PAGE <= 64 * MIB
    seen = dict(line.split()[:2] for line in vz.ctl("exec2", "101", "cat /proc/meminfo").stdout.splitlines())
    assert (int(seen["MemTotal:"]) // 1024, int(seen["SwapTotal:"]) // 1024) == (64, 256)
    quiet(vz)
    assert child.poll() is None


def test_beyond_both_is_killed_inside(swapping: Vz) -> None:
    vz = swapping
    before = [vz.uptime_clock(ctid) for ctid in (101, 102)]
    vz.ctl("exec2", "101", "head -c 1000m /dev/zero | tail", check=None)
    assert all(figures(vz, 101, "physpages.f", "swappages.f"))
    assert [vz.uptime_clock(ctid) for ctid in (101, 102)] == before
    assert vz.answers(101)
    quiet(vz)
    line = "CT 101 : out of memory: "
    machine.until("the log has it", lambda: line in machine.read(vz.paths.log_file))


def test_shrinking_moves_to_swap_or_is_refused(swapping: Vz) -> None:
    vz = swapping
    child = hold(vz, 150)
    vz.ctl("set", "101", "--ram", "32M")
    assert figures(vz, 101, "physpages")[0] * PAGE <= 32 * MIB
    kept = limits(vz)
    for ram, more in (("32M", "16M"), ("16M", "0"), ("64M", "64M")):
        said = vz.ctl("set", "101", "--ram", ram, "--swap", more, "--save", check=1)
        line = f"cannot set PHYSPAGES to {int(ram[:-1]) * MIB // PAGE} and SWAPPAGES to "
        assert said.stderr.startswith(line) and " of swap are in use\n" in said.stderr
        assert limits(vz) == kept
    assert child.poll() is None
    vz.ctl("set", "101", "--ram", "256M", "--swap", "0", "--save")  # there is room for all of it
    assert child.poll() is None
    quiet(vz)


@needs("cgroup2")
def test_of_v2_what_stays_as_it_was(swapping: Vz) -> None:
    """Nobody sleeps because of a limit, and the OOM killer takes one process and not the container."""
    vz = swapping
    vz.ctl("set", "101", "--ram", "48M", "--swap", "64M")
    (path,) = [path for path in machine.cgroups_named(vz.paths.cgroup_root) if path.endswith("/101")]
    assert machine.read(f"{path}/memory.high") == "max\n"
    assert machine.read(f"{path}/memory.oom.group") == "0\n"


def test_a_host_without_swap_says_so(vz: Vz) -> None:
    line = "Warning: this host has no swap: the container has its RAM and nothing more, whatever SWAPPAGES says"
    vz.template("busybox")
    create = ("create", "101", "--ostemplate", "busybox", "--config", "vswap-256m")
    with none():
        for command in (create, ("set", "101", "--swap", "1G", "--save")):
            assert line in vz.ctl(*command).stdout.splitlines()
        for silent in (("start", "101"), ("set", "101", "--ram", "1G"), ("set", "101", "--swap", "0")):
            assert line not in vz.ctl(*silent).stdout


def test_ram_that_was_filled_before_the_set_failed_stays_and_is_told(vz: Vz) -> None:
    """The guest's own tool does it, in the middle of a set; its NUMPROC is as before."""
    vz.start(101)
    vz.ctl("set", "101", "--ram", "64M", "--swap", "0", "--numproc", "200", "--save")
    tool = "#!/bin/sh\\nhead -c 100000000 /dev/zero >/dev/shm/filled\\nexit 7\\n"
    vz.ctl("exec2", "101", f"tool=$(command -v chpasswd) && rm $tool && printf '{tool}' >$tool && chmod 755 $tool")
    text = machine.read(vz.paths.ct_conf(101))
    said = vz.ctl("set", "101", "--ram", "256M", "--numproc", "300", "--userpasswd", "root:secret", "--save", check=74)
    first, second = said.stderr.splitlines()
    stays = "PHYSPAGES and SWAPPAGES could not be taken back: cannot set PHYSPAGES to 16384"
    assert first.startswith(f"Password change failed: code 7; {stays}")
    assert first.endswith(" of swap are in use") and second.startswith("Error: failed to apply some parameters")
    assert figures(vz, 101, "physpages.l", "numproc.l") == [256 * MIB // PAGE, 200]
    assert str(256 * MIB) in limits(vz) and machine.read(vz.paths.ct_conf(101)) == text
    vz.ctl("exec2", "101", "rm /dev/shm/filled")
    vz.ctl("set", "101", "--ram", "64M", "--swap", "0")
    assert figures(vz, 101, "physpages.l") == [64 * MIB // PAGE] and str(64 * MIB) in limits(vz)
