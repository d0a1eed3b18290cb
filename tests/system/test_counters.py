"""Beancounters of a running container: what they say, and that they go on over everything but a new start."""

from collections.abc import Callable

import pytest

from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS, needs

pytestmark = pytest.mark.system

HOLD = (
    "for n in 1 2 3; do setsid nc -l -p 700$n >/dev/null 2>&1 </dev/null & done; "
    "setsid sleep 1000 3</dev/null 4</dev/null 5</dev/null >/dev/null 2>&1 </dev/null &"
)

FILL = "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do setsid sleep 1000 >/dev/null 2>&1 </dev/null & done"


def held(vz: Vz, *fields: str) -> list[int]:
    """The fields of container 101; -1 for what is not known."""
    said = vz.vzlist("-Ho", ",".join(fields), "101").split()
    return [-1 if text == "-" else int(text) for text in said]


def holds(vz: Vz) -> None:
    vz.ctl("exec2", "101", HOLD)
    machine.until("three sockets", lambda: held(vz, "numtcpsock") == [3])


def files_seen(vz: Vz) -> int:
    """Descriptors of the processes of the container, one by one."""
    pids = {
        pid
        for cgroup in machine.cgroups_named(vz.paths.cgroup_root)
        if "101" in cgroup.split("/")
        for pid in machine.cgroup_pids(cgroup)
    }
    return sum(len(machine.descriptors(pid)) for pid in pids)


def release(vz: Vz) -> None:
    vz.ctl("set", "101", "--numproc", "100")  # without a process to be had there is no killall
    vz.ctl("exec2", "101", "killall nc sleep", check=None)
    machine.until("the sockets are gone", lambda: held(vz, "numtcpsock") == [0])


def test_what_is_held_is_counted(vz: Vz) -> None:
    vz.create(101)
    vz.ctl("start", "101", "--wait")  # what boots opens sockets and terminals as well
    other, terminals, signals, locked = held(vz, "numothersock", "numpty", "numsiginfo", "lockedpages")
    assert min(other, terminals, signals, locked) >= 0
    holds(vz)
    # accept(2) that waits has taken a descriptor already, which only the newer way of counting knows
    machine.until("as many files as the host sees", lambda: 0 <= held(vz, "numfile")[0] - files_seen(vz) <= 3)
    assert files_seen(vz) >= 3 * 4 + 6
    logged_in = vz.spawn("vzctl", "enter", "101")
    logged_in.expect("[#$] ")
    assert held(vz, "numpty") == [terminals + 1]
    logged_in.sendline("exit")


@pytest.mark.slow
def test_locks_are_counted(vz: Vz) -> None:
    vz.start(101, template="debian-12")
    take = "for n in 1 2 3 4 5; do setsid flock /tmp/$n sleep 1000 >/dev/null 2>&1 </dev/null & done"
    vz.ctl("exec2", "101", take)
    machine.until("five locks, and those of cron and its like", lambda: 5 <= held(vz, "numflock")[0] <= 7)
    vz.ctl("exec2", "101", "pkill flock; pkill sleep", check=None)
    machine.until("they are gone", lambda: held(vz, "numflock")[0] <= 2)


@needs("nftables")
def test_rules_are_counted(vz: Vz) -> None:
    vz.start(101)
    assert held(vz, "numiptent") == [0]
    inside = ["nsenter", f"--net=/proc/{vz.init_pid(101)}/ns/net", "nft"]
    for rule in ("add table ip t", "add chain ip t c", "add rule ip t c counter", "add rule ip t c drop"):
        vz.run(*inside, rule)
    assert held(vz, "numiptent") == [2]


def test_the_load_rises_with_work(vz: Vz) -> None:
    vz.start(101)
    vz.start(102)
    vz.popen("vzctl", "exec2", "101", "while :; do :; done")

    def load(ctid: int) -> float:
        return float(vz.vzlist("-Ho", "laverage", str(ctid)).partition("/")[0])

    machine.until("a load", lambda: load(101) > 0.2)
    assert load(102) < load(101)
    vz.kill_daemon()
    machine.until("the next daemon knows it", lambda: load(101) > 0.2)


def test_what_cannot_be_counted_is_not_shown(vz: Vz) -> None:
    vz.start(101)
    shown = held(vz, "privvmpages", "vmguarpages", "oomguarpages", "physpages", "shmpages")
    assert shown[:3] == [-1, -1, -1] and min(shown[3:]) >= 0
    assert held(vz, "privvmpages.m", "privvmpages.f") == [-1, -1]


@pytest.mark.parametrize("kill", [Vz.kill_daemon, Vz.kill_both], ids=["daemon", "both"])
def test_the_most_survives_hostd_and_no_new_start(vz: Vz, kill: Callable[[Vz], None]) -> None:
    vz.start(101)
    vz.ctl("set", "101", "--numproc", "12")
    holds(vz)
    files = held(vz, "numfile.m")
    vz.ctl("exec2", "101", "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1000 & done", check=None)
    most, failures = held(vz, "numproc.m", "numproc.f")
    assert most == 12 and failures > 0
    release(vz)
    kill(vz)
    assert held(vz, "numtcpsock", "numtcpsock.m") == [0, 3]
    assert held(vz, "numproc.m")[0] >= most and held(vz, "numproc.f")[0] >= failures
    assert held(vz, "numfile.m")[0] >= files[0]
    vz.ctl("restart", "101")
    assert held(vz, "numtcpsock.m", "numproc.f") == [0, 0]


@CHECKPOINTS
def test_counters_go_on_after_a_checkpoint(vz: Vz) -> None:
    vz.start(101)
    holds(vz)
    release(vz)
    vz.ctl("set", "101", "--numproc", "12")
    vz.ctl("exec2", "101", FILL, check=None)
    before = held(vz, "numproc.m", "numproc.f", "numtcpsock.m", "physpages.m")
    for _ in range(2):  # the second one begins with what the first has counted
        vz.ctl("chkpnt", "101")
        vz.ctl("restore", "101")
        assert held(vz, "numproc.m", "numproc.l") == [12, 12], "processes of CRIU are none of the container's"
    after = held(vz, "numproc.m", "numproc.f", "numtcpsock.m", "physpages.m")
    assert all(now >= then for now, then in zip(after, before, strict=True))
    assert after[2] == 3 and after[1] > 0


@CHECKPOINTS
def test_what_is_refused_until_all_tasks_are_stopped_counts(vz: Vz) -> None:
    """While a checkpoint is looked at and prepared the container goes on, and somebody may read its figures."""
    vz.start(101)
    vz.ctl("exec2", "101", "(while :; do sh -c '(:); :'; done) >/dev/null 2>&1 </dev/null &")
    machine.until("one that goes round", lambda: held(vz, "numproc.m")[0] >= 4)  # PID 1, the loop, its child, and its
    vz.ctl("set", "101", "--numproc", "3")
    machine.until("refusals", lambda: held(vz, "numproc.f")[0] > 0)
    seen = held(vz, "numproc.f")[0]
    saving = vz.popen("vzctl", "chkpnt", "101")
    while saving.poll() is None:
        text = vz.run("vzlist", "-Ho", "numproc.f", "101", check=None).stdout.strip()
        seen = int(text) if text.isdecimal() else seen
    assert saving.returncode == 0
    vz.ctl("set", "101", "--numproc", "unlimited", "--save")  # so that it is refused nothing when it is back
    vz.ctl("restore", "101")
    assert held(vz, "numproc.f")[0] >= seen
