"""/dev/shm and /run: of the container's RAM, half and a fifth, for as long as it runs and whatever becomes of it."""

import pytest

from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS, needs

pytestmark = [pytest.mark.system, needs("memory")]

MIB = 1024  # of the unit of `df -k`


@pytest.fixture
def small(vz: Vz) -> Vz:
    """CT 101 with 64 MiB of RAM."""
    vz.create(101)
    vz.ctl("set", "101", "--ram", "64M", "--swap", "0", "--save")
    vz.ctl("start", "101")
    return vz


def sizes(vz: Vz) -> list[int]:
    """KiB of /dev/shm and /run, as a program inside sees them."""
    return [int(line.split()[1]) for line in vz.ctl("exec2", "101", "df -k /dev/shm /run").stdout.splitlines()[1:]]


def belongs_to(ram: int) -> list[int]:
    """To so many MiB; the kernel gives whole pages."""
    return [-(-ram * MIB * percent // 100 // 4) * 4 for percent in (50, 20)]


def test_they_follow_the_ram(small: Vz) -> None:
    assert sizes(small) == belongs_to(64)
    small.ctl("set", "101", "--ram", "200M")
    assert sizes(small) == belongs_to(200)
    small.ctl("restart", "101")
    assert sizes(small) == belongs_to(64)


def test_what_fills_them_harms_nobody(small: Vz) -> None:
    """With all of its RAM in one there is nothing that the kernel could kill but PID 1."""
    clock = small.uptime_clock(101)
    fill = "for place in /dev/shm /run; do dd if=/dev/zero of=$place/a bs=1M; done"
    filled = small.ctl("exec", "101", fill, check=None)
    assert filled.stderr.count("No space left on device") == 2
    assert small.ctl("exec2", "101", "echo calm").stdout == "calm\n"
    assert small.uptime_clock(101) == clock
    assert small.vzlist("-H", "-o", "physpages.l", "101").split() == [str(64 * MIB // 4)]


def test_what_is_in_one_stays(small: Vz) -> None:
    small.ctl("set", "101", "--ram", "128M")
    small.ctl("exec2", "101", "dd if=/dev/zero of=/dev/shm/a bs=1M count=40 2>/dev/null")
    said = small.ctl("--verbose", "set", "101", "--ram", "70M").stderr
    assert "/dev/shm stays as large as it is: " in said and "/run stays" not in said
    assert sizes(small) == [belongs_to(128)[0], belongs_to(70)[1]]
    assert small.ctl("exec2", "101", "wc -c /dev/shm/a").stdout.startswith(f"{40 << 20} ")


def test_without_a_limit_they_are_the_hosts(small: Vz) -> None:
    """As far as the host has more than a gigabyte: the figures are of its RAM."""
    small.ctl("set", "101", "--ram", "unlimited")
    shm, run = sizes(small)
    with open("/proc/meminfo", encoding="ascii") as file:
        total = int(file.readline().split()[1])
    assert abs(shm - total / 2) < total / 50 and abs(run - total / 5) < total / 50


def test_what_the_guest_put_there_is_left_alone(small: Vz) -> None:
    small.ctl("exec2", "101", "mkdir /mine && mount -o bind /mine /dev/shm && touch /dev/shm/file")
    said = small.ctl("--verbose", "set", "101", "--ram", "128M").stderr
    assert "/dev/shm stays as large as it is: something else is mounted there" in said
    assert small.ctl("exec2", "101", "ls /dev/shm").stdout == "file\n"
    assert sizes(small)[1] == belongs_to(128)[1]


@CHECKPOINTS
def test_they_follow_what_was_set_meanwhile(small: Vz) -> None:
    small.ctl("exec2", "101", "echo kept >/dev/shm/a")
    small.ctl("chkpnt", "101")
    small.ctl("set", "101", "--ram", "128M", "--save")
    small.ctl("restore", "101")
    assert sizes(small) == belongs_to(128)
    assert small.ctl("exec2", "101", "cat /dev/shm/a").stdout == "kept\n"
    small.ctl("set", "101", "--ram", "96M")
    assert sizes(small) == belongs_to(96)
