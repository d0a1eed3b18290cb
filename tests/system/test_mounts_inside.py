"""What a container sees of its mounts: nothing of the host's disks, directories and user ids."""

import re

import pytest

from hostd.container.mounts import TTY_GROUP
from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS

pytestmark = pytest.mark.system

# Mount point -> source, file system, and the part of it that is mounted.
EXPECTED = {
    "/": ("vz", "overlay", "/"),
    "/.vz": ("vz", "tmpfs", "/"),
    "/dev": ("dev", "tmpfs", "/"),
    "/dev/mqueue": ("mqueue", "mqueue", "/"),
    "/dev/pts": ("devpts", "devpts", "/"),
    "/dev/shm": ("tmpfs", "tmpfs", "/"),
    "/proc": ("proc", "proc", "/"),
    "/run": ("tmpfs", "tmpfs", "/"),
    "/sys": ("sysfs", "sysfs", "/"),
    "/sys/devices/system/cpu": ("vzviews", "fuse.vzviews", "/cpu-101"),
    "/sys/devices/system/cpu/.vz": ("sysfs", "sysfs", "/devices/system/cpu"),
    "/sys/fs/cgroup": ("cgroup2", "cgroup2", "/"),
}


def mounts(vz: Vz) -> dict[str, tuple[str, str, str, str]]:
    """Mount point -> source, file system, its root, its options; without the masks on /proc."""
    found = {}
    for line in vz.ctl("exec2", "101", "cat /proc/self/mountinfo").stdout.splitlines():
        left, _, right = line.partition(" - ")
        fstype, source, options = right.split(" ")
        root, point = left.split(" ")[3:5]
        if not point.startswith("/proc/"):
            found[point] = (source, fstype, root, options)
    return found


def host_id(vz: Vz, number: int) -> str:
    """What the user or group *number* of the container is on the host."""
    return str(int(machine.read(f"/proc/{vz.init_pid(101)}/uid_map").split()[1]) + number)


def test_nothing_of_the_host_is_in_the_mount_table(vz: Vz) -> None:
    vz.start(101)
    seen = mounts(vz)
    assert {point: found[:3] for point, found in seen.items()} == EXPECTED
    for path in re.findall(r"=(/[^,]*)", seen["/"][3]):
        assert re.fullmatch(r"/(upper|work)?|/proc/self/fd/\d+", path), "a layer, or its descriptor before Linux 6.13"
    # The kernel shows the group of terminals as a number of the initial user namespace, whoever mounts it.
    assert host_id(vz, 0) not in str(seen)
    assert [point for point, found in seen.items() if host_id(vz, TTY_GROUP) in found[3]] == ["/dev/pts"]


@CHECKPOINTS
def test_a_restored_container_sees_no_more(vz: Vz) -> None:
    """CRIU mounts what it restores from inside; then the kernel tells its owner, as /proc/self/uid_map does."""
    vz.start(101)
    vz.ctl("chkpnt", "101")
    vz.ctl("restore", "101")
    seen = mounts(vz)
    assert {point: found[1:3] for point, found in seen.items()} == {
        point: found[1:] for point, found in EXPECTED.items()
    }
    assert seen["/.vz"][0] == "vz"
    assert vz.prefix not in str(seen)


def test_df_shows_what_a_user_can_use(vz: Vz) -> None:
    """The runtime is not among it: always full, it would raise alarms."""
    vz.start(101)
    points = [line.split()[-1] for line in vz.ctl("exec2", "101", "df").stdout.splitlines()[1:]]
    assert sorted(points) == ["/", "/dev", "/dev/shm", "/run"]


def test_all_containers_share_one_runtime(vz: Vz) -> None:
    """One superblock for the whole host, over restarts of hostd; so its pages are in memory once."""
    vz.start(101)
    vz.kill_both()
    vz.start(102)
    devices = {vz.ctl("exec2", ctid, "stat -c %d /.vz/bin/vzinit").stdout for ctid in ("101", "102")}
    assert len(devices) == 1


def test_the_runtime_is_the_hosts(vz: Vz) -> None:
    vz.start(101)
    hostile = "mount -o remount,bind,rw /.vz; echo 1 >/.vz/bin/new; rm /.vz/bin/telinit"
    done = vz.ctl("exec2", "101", hostile, check=None)
    assert done.code != 0 and "denied" in done.stderr
    assert vz.ctl("exec2", "101", "ls /.vz/bin").stdout.split() == ["telinit", "vzinit"]


def test_neighbours_disks_have_no_names(vz: Vz) -> None:
    """/sys tells what is behind every loop device of the machine; not whose it is, nor where."""
    vz.start(101)
    vz.start(102)
    assert len(machine.loops_below(f"{vz.prefix}/var/lib/vz/private")) == 2
    files = vz.ctl("exec2", "101", "cat /sys/block/loop*/loop/backing_file 2>/dev/null; true").stdout
    assert vz.prefix not in files and "/disk.img" in files.splitlines()
