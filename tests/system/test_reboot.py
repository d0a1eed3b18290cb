"""Reboot and other ends from inside: each ends as a user would expect, and the neighbours never notice."""

import os
import signal
import subprocess

import pytest

from hostd.config import files
from tests.harness import machine
from tests.harness.action_scripts import lasting
from tests.harness.installation import TIMEOUT, Vz
from tests.harness.needs import needs

pytestmark = [pytest.mark.system, needs("userns", "unified")]

TEN = tuple(range(101, 111))


def test_reboot_inside_comes_back(vz: Vz) -> None:
    vz.start(101, "--ipadd", "192.0.2.101")
    before = vz.uptime_clock(101)
    vz.ctl("exec", "101", "reboot", check=None)
    vz.wait_reboot(101, before)
    assert vz.status(101) == "exist mounted running"
    vz.ping("192.0.2.101")


@pytest.mark.slow
def test_ten_reboot_independently_while_the_others_run(vz: Vz) -> None:
    for ctid in TEN:
        vz.start(ctid, "--ipadd", f"192.0.2.{ctid}")
    for _ in range(3):
        clocks = {ctid: vz.uptime_clock(ctid) for ctid in TEN}
        for ctid in TEN[::2]:
            vz.ctl("exec", str(ctid), "reboot", check=None)
        for ctid in TEN[::2]:
            vz.wait_reboot(ctid, clocks[ctid])
        for ctid in TEN[1::2]:
            assert vz.uptime_clock(ctid) == clocks[ctid], f"CT {ctid} was disturbed"
            vz.ping(f"192.0.2.{ctid}")


def test_reboot_minus_f_comes_back(vz: Vz) -> None:
    vz.start(101)
    before = vz.uptime_clock(101)
    vz.ctl("exec", "101", "reboot -f", check=None)
    vz.wait_reboot(101, before)


@pytest.mark.parametrize("command", ["halt", "poweroff", "halt -f", "poweroff -f"])
def test_halt_inside_stops_and_releases(vz: Vz, command: str) -> None:
    vz.start(101, "--ipadd", "192.0.2.101")
    vz.ctl("exec", "101", command, check=None)
    vz.wait_status(101, "exist unmounted down")
    machine.until("route is gone", lambda: "192.0.2.101" not in vz.ip("route"))


def test_killed_pid_1_is_a_stopped_container(vz: Vz) -> None:
    vz.start(101)
    vz.start(102)
    other = vz.uptime_clock(102)
    machine.kill_and_wait(vz.init_pid(101))
    vz.wait_status(101, "exist unmounted down")
    assert vz.uptime_clock(102) == other
    vz.ctl("start", "101")
    assert vz.answers(101)


def test_kill_minus_1_ends_everything_but_pid_1(vz: Vz) -> None:
    """`kill -9 -1` inside cannot reach PID 1 of a pid namespace: the container goes on."""
    vz.start(101)
    before = vz.uptime_clock(101)
    vz.ctl("exec2", "101", "kill -9 -1", check=None)
    machine.until("answers again", lambda: vz.answers(101))
    assert vz.uptime_clock(101) == before
    assert vz.status(101) == "exist mounted running"


def test_kill_9_of_pid_1_from_inside_does_nothing(vz: Vz) -> None:
    vz.start(101)
    before = vz.uptime_clock(101)
    vz.ctl("exec2", "101", "kill -9 1; kill -KILL 1; true")
    assert vz.answers(101)
    assert vz.uptime_clock(101) == before


@needs("pids")
def test_fork_bomb_under_numproc_stays_inside(vz: Vz) -> None:
    vz.start(101)
    vz.start(102)
    vz.ctl("set", "101", "--numproc", "40", "--save")
    bomb = vz.popen("vzctl", "exec", "101", "bomb() { bomb | bomb & }; bomb")
    assert vz.ctl("exec2", "102", "echo calm").stdout == "calm\n"
    held = int(vz.vzlist("-H", "-o", "numproc", "101"))
    assert held <= 40
    vz.ctl("stop", "101", "--fast")
    assert vz.status(101) == "exist unmounted down"
    bomb.wait(TIMEOUT)


def test_a_thousand_orphans_are_reaped(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("exec2", "101", "i=0; while [ $i -lt 1000 ]; do (true &) ; i=$((i+1)); done")
    machine.until(
        "no zombie is left",
        lambda: (
            vz.ctl(
                "exec2", "101", "grep -l 'State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l"
            ).stdout.strip()
            == "0"
        ),
    )


def reboots_again_and_again(vz: Vz) -> None:
    """CT 101 is between two lives for most of the time, in a pause that grows to seconds."""
    vz.create(101, "--layout", "simfs")
    with open(f"{vz.prefix}/var/lib/vz/private/101/etc/inittab", "w", encoding="ascii") as file:
        file.write("::sysinit:/bin/busybox reboot -f\n")
    vz.ctl("start", "101")
    machine.until("pauses are long", lambda: machine.read(vz.paths.log_file).count(" : rebooted") > 7)
    vz.wait_status(101, "exist mounted down")


def test_one_that_reboots_again_and_again_can_be_left_mounted(vz: Vz) -> None:
    reboots_again_and_again(vz)
    assert vz.ctl("stop", "101", "--skip-umount").stdout.endswith("Container was stopped\n")
    assert vz.status(101) == "exist mounted down"
    vz.ctl("umount", "101")


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_one_that_reboots_again_and_again_can_be_stopped(vz: Vz, verb: str) -> None:
    reboots_again_and_again(vz)
    said = vz.ctl(verb, "101", "--fast").stdout
    assert "Container was stopped\nContainer is unmounted\n" in said
    assert ("Container start in progress" in said) == (verb == "restart")
    log = machine.read(vz.paths.log_file)
    slow = "Stopping container" in log  # the pause was over before the command came, on a slow machine
    assert slow or "not started again: it is to stop" in log
    vz.ctl("stop", "101", "--fast")
    assert vz.status(101) == "exist unmounted down"


def test_a_stop_between_two_lives_can_leave_it_mounted(vz: Vz) -> None:
    vz.start(101)
    init = vz.init_pid(101)
    os.kill(vz.keeper_pid, signal.SIGSTOP)
    try:
        os.kill(init, signal.SIGKILL)
        machine.until("PID 1 has ended", lambda: not machine.alive(init))
        stop = vz.popen("vzctl", "stop", "101", "--skip-umount")
        assert stop.stdout and stop.stdout.readline() == "Container was stopped\n"
    finally:
        os.kill(vz.keeper_pid, signal.SIGCONT)
    assert stop.wait(TIMEOUT) == 0 and stop.stdout.read() == ""
    assert vz.status(101) == "exist mounted down"
    vz.ctl("umount", "101")


def test_a_stop_that_finds_it_unmounted_already(vz: Vz) -> None:
    """hostd clears away one that has halted by itself, while its umount script takes its time."""
    vz.start(101)
    script = lasting(vz, "101.umount", f"touch {vz.prefix}/umounting")
    vz.popen("vzctl", "exec", "101", "halt -f")
    machine.until("the script runs", lambda: os.path.exists(f"{vz.prefix}/umounting"))
    stop = vz.popen("vzctl", "stop", "101", "--skip-umount")
    machine.until("the stop has begun", lambda: os.path.exists(vz.paths.lock(101)))
    os.unlink(script)
    assert stop.wait(TIMEOUT) == 0 and stop.stdout
    assert stop.stdout.read() == "Container was stopped\nContainer is unmounted\n"
    assert vz.status(101) == "exist unmounted down"


@pytest.mark.parametrize("command", ["set 101 --diskspace 40M --save", "runscript 101 {prefix}/script", "mount 101"])
def test_a_command_while_it_is_cleared_away(vz: Vz, command: str) -> None:
    """It waits: the status is down already, and there is no command to be seen that holds the container."""
    vz.start(101)
    script = lasting(vz, "101.postumount")
    vz.popen("vzctl", "exec", "101", "halt -f")
    vz.wait_status(101, "exist unmounted down")
    files.replace(f"{vz.prefix}/script", "true\n")
    child = vz.popen("vzctl", *command.format(prefix=vz.prefix).split())
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.5)
    os.unlink(script)
    assert child.wait(TIMEOUT) == 0


def test_a_stop_between_its_end_and_the_word_of_the_keeper(vz: Vz) -> None:
    """Nobody knows yet that it wants to come back; it does not."""
    vz.start(101)
    init = vz.init_pid(101)
    os.kill(vz.keeper_pid, signal.SIGSTOP)
    try:
        vz.popen("vzctl", "exec", "101", "reboot -f")
        machine.until("PID 1 has ended", lambda: not machine.alive(init))
        stop = vz.popen("vzctl", "stop", "101")
        assert stop.stdout and stop.stdout.readline() == "Container was stopped\n"
    finally:
        os.kill(vz.keeper_pid, signal.SIGCONT)
    assert stop.stdout.readline() == "Container is unmounted\n" and stop.wait(TIMEOUT) == 0
    assert vz.status(101) == "exist unmounted down"
    assert "rebooting" not in machine.read(vz.paths.log_file)
