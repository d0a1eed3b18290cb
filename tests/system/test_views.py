"""What a container sees of itself: with its limits, live, through checkpoints and the death of whoever serves it."""

import re
import subprocess

import pytest

from hostd.proc.points import CPU, POINTS
from tests.harness import leaks, machine, old_keeper
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS, needs
from tests.harness.reboots import reboot

pytestmark = [pytest.mark.system, needs("fuse", "memory", "cpu")]

FILES = "cat " + " ".join(POINTS.values()) + " >/dev/null"
MOUNTED = {CPU} | {point for point in POINTS.values() if not point.startswith(CPU)}


def meminfo(vz: Vz, ctid: int, key: str) -> int:
    """KiB."""
    return everything(vz, ctid)[key]


def everything(vz: Vz, ctid: int) -> dict[str, int]:
    """Of meminfo."""
    text = vz.ctl("exec2", str(ctid), "cat /proc/meminfo").stdout
    return {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines()}


def processors(vz: Vz, ctid: int) -> list[int]:
    """As each of the files counts them, and the directories that htop counts."""
    said = vz.ctl(
        "exec2", str(ctid),
        f"grep -c ^processor /proc/cpuinfo; grep -c '^cpu[0-9]' /proc/stat; ls -d {CPU}/cpu[0-9]*/ | wc -l;"
        f" cat {CPU}/online; ls {CPU}/cpu0/topology/ {CPU}/cpu0/subsystem/ >/dev/null || echo dead",
    ).stdout.split()  # fmt: skip
    return [*map(int, said[:3]), int(said[3].rpartition("-")[2]) + 1, *map(int, said[4:])]


def uptime(vz: Vz, ctid: int) -> float:
    return float(vz.ctl("exec2", str(ctid), "cat /proc/uptime").stdout.split()[0])


def server(vz: Vz) -> int:
    """The server of this installation."""
    found = [pid for pid in machine.processes_of(vz.prefix) if machine.read(f"/proc/{pid}/comm") == "hostd-views\n"]
    assert len(found) == 1, found
    return found[0]


def kill_server(vz: Vz) -> None:
    old = server(vz)
    machine.kill_and_wait(old)
    machine.until("another server", lambda: views_processes(vz) not in ([], [old]))


def views_processes(vz: Vz) -> list[int]:
    return [pid for pid in machine.processes_of(vz.prefix) if machine.read(f"/proc/{pid}/comm") == "hostd-views\n"]


def served(vz: Vz, ctid: int) -> bool:
    """Every file can be read, and none is the host's."""
    mounts = vz.ctl("exec2", str(ctid), f"{FILES} && cat /proc/mounts", check=None)
    seen = {line.split()[1] for line in mounts.stdout.splitlines() if line.split()[2] == "fuse.vzviews"}
    return mounts.code == 0 and seen >= MOUNTED


def test_two_containers_see_themselves_and_every_change(vz: Vz) -> None:
    host = int(re.findall(r"MemTotal: *(\d+)", machine.read("/proc/meminfo"))[0])
    cpus = len(re.findall(r"^processor", machine.read("/proc/cpuinfo"), re.MULTILINE))
    for ctid in (101, 102):
        vz.create(ctid)
        vz.ctl("set", str(ctid), "--physpages", "unlimited", "--save")
        vz.ctl("start", str(ctid))
        assert served(vz, ctid)
    assert meminfo(vz, 101, "MemTotal") == host and processors(vz, 101) == [cpus] * 4
    vz.ctl("set", "101", "--ram", "64M", "--swap", "32M", "--cpus", "1", "--save")
    vz.ctl("set", "102", "--ram", "128M", "--cpulimit", "50")
    assert meminfo(vz, 101, "MemTotal") == 64 << 10
    assert meminfo(vz, 101, "SwapTotal") <= 32 << 10
    seen = everything(vz, 101)
    assert 0 < seen["MemFree"] <= seen["MemAvailable"] <= 64 << 10
    assert processors(vz, 101) == [1] * 4
    assert meminfo(vz, 102, "MemTotal") == 128 << 10 and processors(vz, 102) == [1] * 4
    vz.ctl("set", "101", "--ram", "96M")
    assert meminfo(vz, 101, "MemTotal") == 96 << 10
    before = uptime(vz, 101)
    assert before < uptime(vz, 102) + 60 and before < 600
    vz.ctl("restart", "101")
    assert uptime(vz, 101) < before + 60 and meminfo(vz, 101, "MemTotal") == 64 << 10
    top = vz.ctl("exec2", "101", "top -b -n1").stdout  # busybox reads /proc/meminfo and /proc/stat
    used, free = (int(number) for number in re.findall(r"Mem: (\d+)K used, (\d+)K free", top)[0])
    assert used + free == 64 << 10


@CHECKPOINTS
def test_memory_that_is_to_be_shown(vz: Vz) -> None:
    """Whatever the limit is: at a start, live, after a reboot, and as a restore finds it in the file."""
    host = int(re.findall(r"MemTotal: *(\d+)", machine.read("/proc/meminfo"))[0])
    vz.create(101)
    vz.ctl("set", "101", "--ram", "64M", "--meminfo", "pages:8192", "--privvmpages", "1024:2048", "--save")
    assert "Configure meminfo: 8192" in vz.ctl("start", "101").stdout.splitlines()
    assert meminfo(vz, 101, "MemTotal") == 32 << 10
    assert "Configure meminfo: none\n" in vz.ctl("set", "101", "--meminfo", "none").stdout
    assert meminfo(vz, 101, "MemTotal") == host
    reboot(vz)
    assert meminfo(vz, 101, "MemTotal") == 32 << 10
    vz.ctl("set", "101", "--meminfo", "privvmpages:6")
    assert meminfo(vz, 101, "MemTotal") == 24 << 10
    vz.ctl("chkpnt", "101")
    vz.ctl("restore", "101")
    assert meminfo(vz, 101, "MemTotal") == 24 << 10
    vz.ctl("chkpnt", "101")
    vz.ctl("set", "101", "--meminfo", "pages:4096", "--save")
    vz.ctl("restore", "101")
    assert meminfo(vz, 101, "MemTotal") == 16 << 10


def test_a_page_of_memory_is_seen(vz: Vz) -> None:
    """What one container uses is less free for it, and for no other."""
    for ctid in (101, 102):
        vz.create(ctid)
        vz.ctl("set", str(ctid), "--ram", "256M", "--save")
        vz.ctl("start", str(ctid))
    free = meminfo(vz, 101, "MemFree")
    vz.ctl("exec2", "101", "dd if=/dev/zero of=/dev/shm/x bs=1048576 count=64 2>/dev/null")
    assert free - meminfo(vz, 101, "MemFree") >= 60 << 10
    assert meminfo(vz, 101, "Shmem") >= 64 << 10
    assert meminfo(vz, 102, "MemFree") > 200 << 10 and meminfo(vz, 102, "Shmem") < 1 << 10


def test_a_killed_server_costs_a_reader_a_moment(vz: Vz) -> None:
    vz.start(101)
    loop = "until [ -e /run/enough ]; do sleep 0.01; grep -q MemTotal /proc/meminfo || exit 1; done; echo always"
    reader = vz.popen("vzctl", "exec2", "101", loop)
    for _ in range(4):  # more of them, and the keeper would start the next one later and later
        kill_server(vz)
    assert reader.poll() is None
    vz.ctl("exec2", "101", "touch /run/enough")
    assert reader.communicate()[0] == "always\n"
    vz.kill_daemon()
    assert served(vz, 101)
    before = server(vz)
    vz.run("hostd", "--upgrade")
    machine.until("the next version serves", lambda: views_processes(vz) not in ([], [before]))
    assert served(vz, 101)


@pytest.mark.parametrize("who", ["keeper", "both", "hostd"])
def test_a_lost_connection_is_replaced_in_a_running_container(vz: Vz, who: str) -> None:
    """Who is gone: the keeper, which held it; keeper and daemon; both of them in order, and the server after that."""
    vz.start(101)
    vz.ctl("set", "101", "--ram", "64M", "--save")
    clock, old = vz.uptime_clock(101), server(vz)
    if who == "keeper":
        vz.kill_keeper()
    elif who == "both":
        vz.kill_both()
    else:
        vz.stop_hostd()
        assert views_processes(vz) == [old], "it goes on without hostd"
        machine.kill_and_wait(old)
    vz.ctl("status", "101")
    machine.until("it is served", lambda: served(vz, 101))
    machine.until("by one server", lambda: [pid for pid in views_processes(vz) if pid != old] == views_processes(vz))
    assert len(views_processes(vz)) == 1
    assert meminfo(vz, 101, "MemTotal") == 64 << 10
    assert vz.uptime_clock(101) == clock
    vz.start(102)
    assert served(vz, 102)


def test_a_view_that_was_unmounted_on_the_host_is_made_anew(vz: Vz) -> None:
    """By somebody who cleans up.  A container goes on with what it has; the next daemon gives it other files."""
    vz.start(101)
    vz.ctl("set", "101", "--ram", "64M", "--save")
    subprocess.run(["umount", "-l", vz.paths.views_dir], check=True)
    assert served(vz, 101)
    vz.kill_daemon()
    machine.until("it is served", lambda: served(vz, 101))
    assert meminfo(vz, 101, "MemTotal") == 64 << 10
    vz.start(102)
    assert served(vz, 102)


def test_what_the_guest_mounts_over_a_file_stays(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("exec2", "101", "echo mine >/run/mine; mount --bind /run/mine /proc/loadavg; umount /proc/swaps")
    vz.kill_both()
    vz.ctl("status", "101")
    machine.until("it is served", lambda: vz.ctl("exec2", "101", "cat /proc/stat", check=None).code == 0)
    assert vz.ctl("exec2", "101", "cat /proc/loadavg").stdout == "mine\n"
    mounts = vz.ctl("exec2", "101", "cat /proc/mounts").stdout
    assert "/proc/swaps" not in mounts and mounts.count("fuse.vzviews") == len(MOUNTED) - 1


@CHECKPOINTS
def test_checkpoints_keep_them(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("set", "101", "--ram", "64M", "--save")
    vz.ctl("exec2", "101", "mkdir /mnt/proc; mount --rbind /proc /mnt/proc")
    loop = "exec 4</proc/uptime; while sleep 0.1; do cat /proc/meminfo >/run/seen; done"
    vz.ctl("exec2", "101", f"setsid sh -c '{loop}' >/dev/null 2>&1 </dev/null &")
    for between in ("nothing", "hostd restarted", "set", "both killed"):
        vz.ctl("chkpnt", "101")
        assert leaks.of_container(vz.prefix, vz.paths.cgroup_root, 101) == []
        if between == "hostd restarted":
            vz.stop_hostd()
        if between == "both killed":
            vz.kill_both()
        if between == "set":
            vz.ctl("set", "101", "--ram", "80M", "--save")
        vz.ctl("restore", "101")
        assert served(vz, 101)
        assert uptime(vz, 101) < 60
    vz.ctl("exec2", "101", "rm /run/seen")
    machine.until("the process goes on", lambda: "81920" in vz.ctl("exec2", "101", "cat /run/seen", check=None).stdout)


@CHECKPOINTS
def test_a_checkpoint_with_files_that_were_renewed(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("exec2", "101", "mkdir /mnt/proc; mount --rbind /proc /mnt/proc")
    vz.kill_both()
    machine.kill_and_wait(server(vz))
    vz.ctl("chkpnt", "101")
    vz.ctl("restore", "101")
    assert served(vz, 101)
    assert vz.ctl("exec2", "101", "cat /proc/uptime /mnt/proc/uptime | wc -l").stdout == "2\n"


# A shell that has its own /dev/fuse, which cannot be opened, and executes what follows.
WITHOUT_FUSE = (
    "unshare", "-m", "sh", "-ec",
    f"""{machine.LET_GO}
    mount -t tmpfs -o nodev none /mnt
    mknod /mnt/fuse c 10 229
    mount --bind /mnt/fuse /dev/fuse
    umount -l /mnt
    exec "$@" """,
    "sh",
)  # fmt: skip


@CHECKPOINTS
def test_a_host_without_fuse_starts_and_restores_containers(vz: Vz) -> None:
    """With the host's files; `vzctl check` says so; and a host with FUSE gives them their own again."""
    host = int(re.findall(r"MemTotal: *(\d+)", machine.read("/proc/meminfo"))[0])
    vz.start(101)
    vz.ctl("set", "101", "--ram", "64M", "--save")
    vz.ctl("chkpnt", "101")
    vz.stop_hostd()
    vz.start_hostd(*WITHOUT_FUSE)
    row = next(line for line in vz.ctl("check").stdout.splitlines() if line.startswith("FUSE"))
    assert " no " in row and "containers see the memory and processors of the host" in row
    vz.start(102)
    vz.ctl("set", "102", "--ram", "64M")
    assert meminfo(vz, 102, "MemTotal") == host
    assert "fuse" not in vz.ctl("exec2", "102", "cat /proc/mounts").stdout
    vz.ctl("stop", "102")
    vz.ctl("restore", "101")
    assert meminfo(vz, 101, "MemTotal") == host and views_processes(vz) == []
    vz.ctl("chkpnt", "101")
    vz.stop_hostd()
    vz.ctl("restore", "101")
    assert meminfo(vz, 101, "MemTotal") == 64 << 10 and served(vz, 101)


def test_a_keeper_that_knows_no_helpers(vz: Vz) -> None:
    """It was started before the files were exchanged; nobody waits for a server that it will never start."""
    host = int(re.findall(r"MemTotal: *(\d+)", machine.read("/proc/meminfo"))[0])
    vz.start_hostd("/usr/bin/python3", old_keeper.__file__)
    vz.create(101)
    vz.ctl("set", "101", "--ram", "64M", "--save")
    vz.ctl("start", "101")
    assert meminfo(vz, 101, "MemTotal") == host and views_processes(vz) == []
    log = machine.read(vz.paths.log_file)
    assert log.count("the keeper is of an older version") == 1 and "does not answer" not in log
    old = vz.daemon_pid
    vz.run("hostd", "--upgrade")
    machine.until("a daemon of the next version", lambda: vz.daemon_pid not in (0, old))
    vz.ctl("restart", "101")
    assert meminfo(vz, 101, "MemTotal") == 64 << 10 and served(vz, 101)


def test_nothing_is_left_of_them(vz: Vz) -> None:
    """`df` inside leaves them out, and nothing is left on the host when the last container is gone."""
    vz.start(101)
    assert "vzviews" not in vz.ctl("exec2", "101", "df").stdout
    vz.ctl("stop", "101")
    vz.stop_hostd()
    assert views_processes(vz) == [] and machine.mounts_below(vz.paths.views_dir) == []

