"""Nothing of whoever happened to type the first command is left in hostd, and in containers, which outlive him."""

import os
import resource
from pathlib import Path

import pytest

from hostd.container import inner_limits
from hostd.keeper import detach
from hostd.kernel import probes
from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS

pytestmark = pytest.mark.system

FILES = 100_000 if probes.sys_resource() else 512  # without, nobody can raise what the caller has lowered
CALLER = (
    *("prlimit", "--fsize=100000000", "--nproc=700", f"--nofile={FILES}", "--memlock=8192", "--core=4096"),
    *("choom", "-n", "300", "--", "nice", "-n", "7", "ionice", "-c", "3", "setarch", "-R"),
    *("taskset", "-c", str(min(os.sched_getaffinity(0)))),
)
INHERITED = (resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_MEMLOCK, resource.RLIMIT_CORE)


def limits(pid: int) -> list[tuple[int, int]]:
    return [resource.prlimit(pid, which) for which in INHERITED]


def is_nobodys(vz: Vz, pid: int) -> None:
    """It has no priority and no processors of the caller's."""
    assert os.getpriority(os.PRIO_PROCESS, pid) == 0
    assert os.sched_getscheduler(pid) == os.SCHED_OTHER
    assert os.sched_getaffinity(pid) == os.sched_getaffinity(1)


def is_not_spared(vz: Vz) -> None:
    """By the OOM killer; nor can anybody inside have that."""
    assert machine.read(f"/proc/{vz.init_pid(101)}/oom_score_adj") == "0\n"
    spare = "cat /proc/self/oom_score_adj; echo -500 >/proc/self/oom_score_adj"
    said = vz.ctl("exec2", "101", spare, check=None)
    assert said.stdout == "0\n" and said.code and "Permission denied" in said.stderr


def test_nothing_of_the_callers_is_left_in_what_runs_then(vz: Vz) -> None:
    vz.create(101)
    vz.stop_hostd()
    vz.run(*CALLER, "vzctl", "start", "101")
    init = vz.init_pid(101)
    for pid in (vz.keeper_pid, vz.daemon_pid, init):
        is_nobodys(vz, pid)
    assert vz.run("ionice", "-p", str(init)).stdout.startswith("none")
    assert machine.read(f"/proc/{init}/personality") == "00000000\n"
    is_not_spared(vz)
    if probes.sys_resource():
        assert limits(vz.daemon_pid) == limits(init) == limits(1)
        assert resource.prlimit(vz.daemon_pid, resource.RLIMIT_NOFILE) == (FILES, 524288)
        assert resource.prlimit(init, resource.RLIMIT_NOFILE) == (1024, 524288)


@CHECKPOINTS
def test_nor_in_what_is_restored(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("chkpnt", "101")
    vz.stop_hostd()
    vz.run(*CALLER, "vzctl", "restore", "101")
    is_nobodys(vz, vz.init_pid(101))
    is_not_spared(vz)
    assert vz.run("ionice", "-p", str(vz.init_pid(101))).stdout.startswith("none")


def test_processors_that_are_set_for_nobody_are_not_set() -> None:
    """Who has all has those that come later, too; and what is off counts."""
    assert detach.allowed("self") >= os.sched_getaffinity(0)
    assert detach.allowed("1") >= os.sched_getaffinity(1)


def test_keeper_and_daemon_mean_the_same_number_of_files() -> None:
    assert inner_limits.NOFILE[1] == detach._OPEN_FILES_INSIDE


def test_what_somebody_starts_inside_has_nothing_of_his(vz: Vz) -> None:
    vz.start(101)
    look = "cut -d ' ' -f 19 /proc/self/stat; ulimit -f"
    said = vz.run("prlimit", "--fsize=100000000", "nice", "-n", "7", "vzctl", "exec2", "101", look).stdout
    assert said == "0\nunlimited\n"


def test_nor_has_what_an_earlier_hostd_has_restored(vz: Vz) -> None:
    vz.create(101)
    vz.stop_hostd()
    vz.run(*CALLER, "vzctl", "start", "101")
    spared = machine.read(f"/proc/{vz.daemon_pid}/oom_score_adj")
    assert int(spared)
    other = vz.popen("vzctl", "exec2", "101", "echo 77 >/proc/self/oom_score_adj; echo up; exec sleep 1000")
    assert other.stdout is not None and other.stdout.readline() == "up\n"
    Path(f"/proc/{vz.init_pid(101)}/oom_score_adj").write_text(spared)
    vz.kill_daemon()
    score = f"/proc/{vz.init_pid(101)}/oom_score_adj"
    machine.until("it is as any other", lambda: machine.read(score) != spared)  # of many processes nobody waits for it
    is_not_spared(vz)
    assert vz.ctl("exec2", "101", "cat /proc/$(pidof sleep)/oom_score_adj").stdout == "77\n"  # its own
