"""/dev/shm and /run: of the container's RAM, half and a fifth, for as long as it runs and whatever becomes of it."""

import pytest

from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS, needs

pytestmark = [pytest.mark.system, needs("memory")]

MIB = 1024  # of the unit of `df -k`


@pytest.fixture
def small(vz: Vz) -> Vz:
    """CT 101 with 100 MiB of RAM."""
    vz.create(101)
    vz.ctl("set", "101", "--ram", "100M", "--swap", "0", "--save")
    vz.ctl("start", "101")
    return vz


def sizes(vz: Vz) -> list[int]:
    """KiB of /dev/shm and /run, as a program inside sees them."""
    return [int(line.split()[1]) for line in vz.ctl("exec2", "101", "df -k /dev/shm /run").stdout.splitlines()[1:]]


def belongs_to(ram: int) -> list[int]:
    """To so many MiB; the kernel gives whole pages."""
    return [ram * MIB // 2, max(-(-ram * MIB * 20 // 100 // 4) * 4, 32 * MIB)]


def test_they_follow_the_ram(small: Vz) -> None:
    assert sizes(small) == belongs_to(100)
    small.ctl("set", "101", "--ram", "400M")
    assert sizes(small) == belongs_to(400)
    small.ctl("restart", "101")
    assert sizes(small) == belongs_to(100)


def test_what_fills_them_harms_nobody(small: Vz) -> None:
    """With all of its RAM in one there is nothing that the kernel could kill but PID 1."""
    clock = small.uptime_clock(101)
    fill = "for place in /dev/shm /run; do dd if=/dev/zero of=$place/a bs=1M; done"
    filled = small.ctl("exec", "101", fill, check=None)
    assert filled.stderr.count("No space left on device") == 2
    assert small.ctl("exec2", "101", "echo calm").stdout == "calm\n"
    assert small.uptime_clock(101) == clock
    assert small.vzlist("-H", "-o", "physpages.l", "101").split() == [str(100 * MIB // 4)]


def test_what_is_in_one_stays(small: Vz) -> None:
    small.ctl("set", "101", "--ram", "128M")
    small.ctl("exec2", "101", "dd if=/dev/zero of=/dev/shm/a bs=1M count=60 2>/dev/null")
    said = small.ctl("--verbose", "set", "101", "--ram", "90M").stderr
    assert "/dev/shm stays as large as it is: " in said and "/run stays" not in said
    assert sizes(small) == [belongs_to(128)[0], belongs_to(90)[1]]
    assert small.ctl("exec2", "101", "wc -c /dev/shm/a").stdout.startswith(f"{60 << 20} ")


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


def test_what_the_host_lends_is_left_alone(small: Vz) -> None:
    """The administrator's own tmpfs, mounted for the container, and bound to the place by who has root inside."""
    root = small.paths.root_default.replace("$VEID", "101")
    small.ctl("exec2", "101", "mkdir /lent")
    small.run("mount", "-t", "tmpfs", "-o", "size=3m,mode=1777", "lent", f"{root}/lent")
    try:
        small.ctl("exec2", "101", "mount -o bind /lent /dev/shm")
        assert sizes(small)[0] == 3 * MIB
        said = small.ctl("--verbose", "set", "101", "--ram", "128M").stderr
        assert "/dev/shm stays as large as it is: something else is mounted there" in said
        assert sizes(small)[0] == 3 * MIB
    finally:
        small.ctl("exec", "101", "umount /dev/shm", check=None)
        small.run("umount", f"{root}/lent")


@pytest.mark.parametrize("victim", ["password", "daemon"])
def test_a_set_that_fails_changes_neither(small: Vz, victim: str) -> None:
    before = sizes(small)
    if victim == "daemon":
        small.stop_hostd()
        small.start_hostd(VZ_FAULT="set.end")
        small.ctl("set", "101", "--ram", "400M", check=None)
        small.stop_hostd()
    else:
        small.ctl("exec2", "101", "rm $(command -v chpasswd)")
        small.ctl("set", "101", "--ram", "400M", "--userpasswd", "root:secret", check=74)
    machine.until("as before", lambda: sizes(small) == before)


@CHECKPOINTS
def test_they_follow_what_was_set_meanwhile(small: Vz) -> None:
    small.ctl("exec2", "101", "echo kept >/dev/shm/a")
    small.ctl("chkpnt", "101")
    small.ctl("set", "101", "--ram", "300M", "--save")
    small.ctl("restore", "101")
    assert sizes(small) == belongs_to(300)
    assert small.ctl("exec2", "101", "cat /dev/shm/a").stdout == "kept\n"
    small.ctl("set", "101", "--ram", "200M")
    assert sizes(small) == belongs_to(200)
