"""SIGINT and SIGTERM of a command: what is undone, what goes on, and what the command says of it."""

import os
import signal

import pytest

from tests.harness import leaks, machine
from tests.harness.installation import TIMEOUT, Vz
from tests.harness.needs import CHECKPOINTS

pytestmark = pytest.mark.system

DOWN = "exist unmounted down"
RUNNING = "exist mounted running"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_cancelled_stop_goes_on_by_itself(vz: Vz, number: signal.Signals) -> None:
    """Nobody waits for it any more; the next command may be the one that kills it."""
    vz.start(101)
    vz.ctl("exec2", "101", "trap '' TERM HUP; sleep 1000 </dev/null >/dev/null 2>&1 & exit 0")
    child = vz.popen("vzctl", "stop", "101")
    machine.until("it was asked", lambda: '"intent": "stop"' in machine.read(vz.paths.ct_record(101)))
    child.send_signal(number)
    out, err = child.communicate(timeout=TIMEOUT)
    assert child.returncode == 128 + number
    assert out == "Stopping container ...\nThe container goes on shutting down by itself\n"
    assert err == "Cancelling...\n"
    assert os.listdir(vz.paths.lock_dir) == []
    assert vz.status(101) == RUNNING
    if number == signal.SIGTERM:
        vz.wait_status(101, DOWN)
    else:
        vz.ctl("stop", "101", "--fast")
        assert vz.status(101) == DOWN
    vz.ctl("start", "101")


def test_a_cancelled_start_is_undone(vz: Vz) -> None:
    """Within a script of the container's, so that it is all there already."""
    vz.create(101, "--ipadd", "192.0.2.1")
    with open(f"{vz.paths.conf_dir}/101.start", "w") as file:
        file.write("#!/bin/sh\necho begun\nwhile sleep 1; do :; done\n")
    child = vz.popen("vzctl", "start", "101")
    assert child.stdout and "begun\n" in iter(child.stdout.readline, "")
    child.send_signal(signal.SIGINT)
    assert child.wait(TIMEOUT) == 128 + signal.SIGINT
    assert vz.status(101) == DOWN
    assert leaks.of_container(vz.prefix, vz.paths.cgroup_root, 101) == []
    assert "192.0.2.1 " not in vz.ip("route")


@pytest.mark.parametrize("wait", [True, False])
def test_a_fast_stop_ends_a_reboot_that_hangs(vz: Vz, *, wait: bool) -> None:
    """Nobody waits for what it waits for, here a script inside at its second start; nor for what it will wait for."""
    vz.create(101)
    with open(f"{vz.paths.conf_dir}/101.start", "w") as file:
        file.write("#!/bin/sh\n[ -e /again ] && exec sleep 1000\ntouch /again\n")
    vz.ctl("start", "101")
    vz.ctl("exec2", "101", "reboot", check=None)
    if wait:
        machine.until("it waits", lambda: sleeps(vz))
    vz.ctl("stop", "101", "--fast")
    assert vz.status(101) == DOWN
    assert leaks.of_container(vz.prefix, vz.paths.cgroup_root, 101) == []


def sleeps(vz: Vz) -> bool:
    found = (pid for cgroup in machine.cgroups_named(vz.paths.cgroup_root) for pid in machine.cgroup_pids(cgroup))
    return any("1000" in machine.cmdline(pid) for pid in found)


@CHECKPOINTS
def test_a_checkpoint_is_finished_though_cancelled(vz: Vz) -> None:
    """What CRIU has taken down is in its images only: they are not given up."""
    vz.start(101)
    vz.ctl("exec2", "101", "setsid tail -f /etc/hosts >/dev/null 2>&1 </dev/null & echo $! > /run/sleeper")
    child = vz.popen("vzctl", "chkpnt", "101")
    assert child.stdout and "\tdump...\n" in iter(child.stdout.readline, "")
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=TIMEOUT)
    assert (child.returncode, err) == (0, ""), out
    assert out.endswith("Checkpointing completed successfully\nContainer is unmounted\n")
    assert vz.status(101) == f"{DOWN} suspended"
    vz.ctl("restore", "101")
    vz.ctl("exec2", "101", "kill -0 $(cat /run/sleeper)")


def test_giving_up_waiting_for_services_leaves_it_running(vz: Vz) -> None:
    vz.create(101)
    vz.ctl("runscript", "101", slow_service(vz))
    child = vz.popen("vzctl", "start", "101", "--wait")
    vz.wait_status(101, RUNNING)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=TIMEOUT)
    assert (child.returncode, err) == (133, "not waited any longer; the container runs\n"), out
    assert vz.status(101) == RUNNING


def slow_service(vz: Vz) -> str:
    """A script of the host that gives the container a service which takes its time to start."""
    path = f"{vz.prefix}/slow"
    with open(path, "w") as file:
        file.write("#!/bin/sh\necho '::sysinit:/bin/sleep 1000' >/etc/inittab\n")
    return path
