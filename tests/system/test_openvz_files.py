"""--features openvz:on: a container finds the files of OpenVZ in /proc, and everything else there as before."""

import re

import pytest

from hostd.command import user_beancounters
from hostd.command.user_beancounters import Resource
from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS, needs
from tests.harness.reboots import reboot

pytestmark = [pytest.mark.system, needs("fuse", "memory", "pids")]

FILES = ("user_beancounters", "vz/veinfo", "vz/veip", "vz/version", "vz/vestat", "vz/vswap")
FIGURES = ("maxheld", "barrier", "limit", "failcnt")


def start(vz: Vz, ctid: int = 101, template: str = "busybox") -> None:
    vz.create(ctid, template=template)
    vz.ctl("set", str(ctid), "--features", "openvz:on", "--ram", "64M", "--numproc", "200", "--save")
    vz.ctl("start", str(ctid), "--wait")


def sh(vz: Vz, script: str, ctid: int = 101) -> str:
    return vz.ctl("exec2", str(ctid), script).stdout


def rows(text: str) -> dict[str, Resource]:
    return {row.name: row for row in user_beancounters.parse(text)}


def inside(vz: Vz, ctid: int = 101) -> dict[str, Resource]:
    return rows(sh(vz, "cat /proc/user_beancounters", ctid))


def whole(vz: Vz, ctid: int = 101) -> bool:
    """It has OpenVZ's files, its own figures, and its own processes."""
    script = "cat /proc/user_beancounters /proc/vz/vestat /proc/self/comm /proc/meminfo; sleep 0 & ps"
    said = vz.ctl("exec2", str(ctid), script, check=None)
    wanted = (f" {ctid}:  kmemsize", "Version: 2.2\n", "\ncat\n", "MemTotal:          65536 kB\n", " ps\n")
    return said.code == 0 and all(text in said.stdout for text in wanted)


def test_programs_find_openvz_and_everything_else(vz: Vz) -> None:
    start(vz)
    listed = sh(vz, f"test -d /proc/vz && ! test -e /proc/bc && cd /proc && ls {' '.join(FILES)}").split()
    assert listed == sorted(FILES)
    assert re.fullmatch(r" {7}101     2 +\d+\n", sh(vz, "cat /proc/vz/veinfo"))
    assert sh(vz, "cat /proc/vz/veip") == "Version: 2.5\n"
    version, head, row = sh(vz, "cat /proc/vz/vestat").splitlines()
    assert version == "Version: 2.2" and len(head.split()) == len(row.split()) == 12
    refused = sh(vz, "for file in vz/x x user_beancounters vz/vswap; do (echo 1 >/proc/$file) 2>&1; done; true")
    assert refused.count("Read-only file system") == 4
    # what is the kernel's
    assert sh(vz, "cat /proc/self/comm") == "cat\n"
    assert sh(vz, "sleep 1000 & cd /proc/$! && readlink exe && grep -c ^Pid: status; kill $!") == "/bin/busybox\n1\n"
    assert sh(vz, "test -e /proc/4000000 || test -e /proc/nothing || echo none") == "none\n"
    assert sh(vz, "cat /proc/sys/kernel/hostname") == sh(vz, "hostname")
    assert [line.split()[:2] for line in sh(vz, "cat /proc/mounts").splitlines()].count(["vzviews", "/proc"]) == 1
    assert "Mem: " in sh(vz, "top -b -n1") and "vzviews" not in sh(vz, "df") and whole(vz)


def test_processes_are_its_own_and_all_of_them(vz: Vz) -> None:
    start(vz)
    start(vz, 102)
    sh(vz, "for i in $(seq 100); do sleep 1000 & done")
    seen = sh(vz, "ls -d /proc/[0-9]*; ps -o pid= | wc -l").split()
    assert "/proc/1" in seen and len(seen) > 100 and int(seen[-1]) > 100
    assert all(int(path.rpartition("/")[2]) < 1000 for path in seen[:-1]), "numbers of the host's"
    assert len(sh(vz, "ls -d /proc/[0-9]*", 102).split()) < 20
    inodes = [sh(vz, "stat -c %i /proc /proc/vz", ctid).split() for ctid in (101, 102)]
    assert len({*inodes[0], *inodes[1]}) == 4, "the kernel locks a directory for who reads it"


def test_beancounters_agree_with_vzubc(vz: Vz) -> None:
    start(vz)
    vz.ctl("set", "101", "--numproc", "20", "--kmemsize", "20000000:30000000", "--save")
    refused = vz.ctl("exec2", "101", "for i in $(seq 30); do sleep 5 & done", check=None)
    assert "numproc was reached" in refused.stderr
    machine.until("they have ended", lambda: vz.ctl("exec2", "101", "! pidof sleep", check=None).code == 0)

    def agree() -> bool:
        ours, theirs = rows(vz.run("vzubc", "-t", "101").stdout), inside(vz)
        steady = user_beancounters.NAMES - {"kmemsize", "physpages", "numfile"}  # a command inside takes more of these
        return all(getattr(ours[name], key) == getattr(theirs[name], key) for name in steady for key in FIGURES)

    machine.until("they agree", agree)  # a look may be due after a hundred times what it took
    seen = inside(vz)
    assert (seen["numproc"].limit, seen["kmemsize"].barrier, seen["kmemsize"].limit) == (20, 20000000, 30000000)
    assert seen["numproc"].failcnt > 0 and seen["numproc"].maxheld == 20 and 0 < seen["physpages"].held <= 16384
    assert {row.ctid for row in seen.values()} <= {101, None}


def test_without_it_there_is_nothing_of_openvz(vz: Vz) -> None:
    """By default; and it goes with the next start after it was taken away."""
    start(vz)
    vz.start(102)
    assert sh(vz, "ls -d /proc/vz /proc/user_beancounters 2>/dev/null; ls -a /proc | grep vz; true", 102) == ""
    vz.ctl("set", "101", "--features", "openvz:off", "--save", "--setmode", "restart")
    assert sh(vz, "ls -d /proc/vz /proc/user_beancounters 2>/dev/null; ls -a /proc | grep vz; true") == ""


@CHECKPOINTS
def test_they_outlive_reboots_and_checkpoints(vz: Vz) -> None:
    """With files of /proc open, of both kinds; and whoever reads in a loop finds them whole in every round."""
    start(vz)
    reading = "while :; do awk \"/numproc/ {n = \\$3} END {print n + 0}\" /proc/user_beancounters >>/run/most; done"
    sh(vz, f"(setsid sh -c '{reading}') </dev/null >/dev/null 2>&1 &")
    waiting = "until [ -e /run/go ]; do sleep 0.1; done; cat <&3 >/run/first; cat <&4 >/run/seen"
    sh(vz, f"(setsid sh -c 'exec 3</proc/vz/vestat 4</proc/1/status; {waiting}') </dev/null >/dev/null 2>&1 &")
    vz.ctl("chkpnt", "101")
    vz.ctl("restore", "101")
    assert whole(vz)
    sh(vz, "touch /run/go")
    machine.until("it goes on", lambda: "PPid" in vz.ctl("exec2", "101", "cat /run/seen", check=None).stdout)
    assert "VEID" in sh(vz, "cat /run/first")
    most = [int(number) for number in sh(vz, "cat /run/most").split()]
    assert len(most) > 2 and most == sorted(most) and most[0] > 0
    reboot(vz)
    assert whole(vz)


def test_they_are_there_before_the_first_process(vz: Vz) -> None:
    """For what the boot does first of all."""
    vz.create(101, "--layout", "simfs")
    with open(f"{vz.prefix}/var/lib/vz/private/101/etc/inittab", "w", encoding="ascii") as file:
        file.write("::sysinit:/bin/cp /proc/user_beancounters /run/first\n")
    vz.ctl("set", "101", "--features", "openvz:on", "--ram", "64M", "--save")
    for way in ("start", "restart"):
        vz.ctl(way, "101", "--wait")
        assert rows(sh(vz, "cat /run/first"))["physpages"].limit == 16384


@pytest.mark.parametrize("who", ["server", "hostd", "both"])
def test_they_outlive_who_serves_them(vz: Vz, who: str) -> None:
    """Processes inside go on, with those that they have made meanwhile in sight."""
    start(vz)
    clock = vz.uptime_clock(101)
    if who == "server":
        views = [pid for pid in machine.processes_of(vz.prefix) if machine.read(f"/proc/{pid}/comm") == "hostd-views\n"]
        machine.kill_and_wait(views[0])
    elif who == "hostd":
        vz.kill_daemon()
    else:
        vz.kill_both()
        vz.ctl("status", "101")
    machine.until("it has them", lambda: whole(vz))
    assert vz.uptime_clock(101) == clock
    assert sh(vz, "cat /proc/sys/kernel/random/boot_id | wc -c; touch /proc/sys/kernel/x 2>&1; true").startswith("37\n")


@pytest.mark.slow
def test_debian_takes_it_for_openvz(vz: Vz) -> None:
    start(vz, template="debian-12-tools")
    assert vz.ctl("exec2", "101", "systemd-detect-virt").stdout == "openvz\n"
    assert sh(vz, "cat <(echo a) && pgrep -x sshd >/dev/null && ps -o comm= -p 1") == "a\ninit\n"
    assert sh(vz, "systemctl is-failed tmpfiles; ls -d /run/sshd").endswith("/run/sshd\n")
