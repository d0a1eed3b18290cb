"""A console waits for its container: before the first start, and after each of its ends."""

import os
import signal

import pexpect
import pytest

from tests.harness import machine
from tests.harness.installation import TIMEOUT, Vz
from tests.harness.needs import CHECKPOINTS
from tests.harness.terminals import exit_status

pytestmark = pytest.mark.system


def attached(vz: Vz) -> "pexpect.spawn[str]":
    child = vz.spawn("vzctl", "console", "101")
    child.expect_exact("Attached to CT 101 (ESC . to detach)\r\n")
    return child


def shown(vz: Vz, child: "pexpect.spawn[str]", word: str) -> str:
    """What comes before *word*, which is said at the container's console."""
    vz.ctl("exec2", "101", f"echo {word} > /dev/console")
    child.expect_exact(word)
    return str(child.before)


def leave(child: "pexpect.spawn[str]") -> None:
    child.send("\r\x1b.")
    child.expect_exact("Detached from CT 101\r\n")
    assert exit_status(child) == 0


def test_a_console_waits_for_the_start_and_shows_its_first_line(vz: Vz) -> None:
    vz.create(101)
    child = attached(vz)
    with pytest.raises(pexpect.TIMEOUT):
        child.expect(".", timeout=1)
    vz.ctl("exec2", "101", "true", check=31)
    vz.ctl("start", "101")
    seen = shown(vz, child, "first-word")
    late = attached(vz)
    late.expect_exact("first-word")
    assert seen.split() == str(late.before).split()
    leave(child)
    leave(late)


def test_another_terminal_than_the_first_one(vz: Vz) -> None:
    vz.create(101)
    child = vz.spawn("vzctl", "console", "101", "2")
    child.expect_exact("Attached to CT 101")
    vz.ctl("start", "101")
    child.expect(r"[#$] |login: ")
    leave(child)


def test_escape_dot_ends_the_waiting(vz: Vz) -> None:
    vz.create(101)
    leave(attached(vz))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("runs", [False, True], ids=["stopped", "running"])
def test_a_signal_ends_it_in_order(vz: Vz, number: int, runs: bool) -> None:
    (vz.start if runs else vz.create)(101)
    child = attached(vz)
    if runs:
        shown(vz, child, "word")
    os.kill(child.pid, number)
    child.expect_exact("Detached from CT 101\r\n")
    assert exit_status(child) == 0


def test_it_goes_on_with_the_next_start(vz: Vz) -> None:
    vz.start(101)
    child = attached(vz)
    for word in ("first-life", "second-life"):
        shown(vz, child, word)
        vz.ctl("stop", "101", "--fast")
        vz.ctl("start", "101")
    shown(vz, child, "third-life")
    before = vz.uptime_clock(101)
    vz.ctl("exec2", "101", "reboot", check=None)  # its own end comes soon
    vz.wait_reboot(101, before)
    shown(vz, child, "fourth-life")
    vz.ctl("stop", "101")
    leave(child)


def test_without_a_terminal(vz: Vz) -> None:
    """A console whose stdin has ended shows all the same."""
    vz.create(101)
    child = vz.popen("sh", "-c", "exec vzctl console 101 </dev/null")
    assert child.stdout is not None and child.stderr is not None
    assert child.stderr.readline() == "Attached to CT 101 (ESC . to detach)\n"
    vz.ctl("start", "101")
    vz.ctl("exec2", "101", "echo a-word > /dev/console")
    assert any("a-word" in line for line in child.stdout)
    child.terminate()
    assert (child.wait(TIMEOUT), child.stderr.read()) == (0, "Detached from CT 101\n")


@CHECKPOINTS
def test_it_goes_on_after_a_checkpoint(vz: Vz) -> None:
    vz.start(101)
    child = attached(vz)
    shown(vz, child, "before-it")
    vz.ctl("chkpnt", "101")
    late = attached(vz)
    vz.ctl("restore", "101")
    shown(vz, child, "after-it")
    late.expect_exact("before-it")
    late.expect_exact("after-it")
    leave(child)
    leave(late)


def test_hostd_does_not_wait_for_who_waits(vz: Vz) -> None:
    vz.create(101)
    child = attached(vz)
    vz.stop_hostd()
    child.expect_exact("Detached from CT 101\r\nhostd leaves")
    assert exit_status(child) == 3


def test_after_a_new_hostd(vz: Vz) -> None:
    """What runs is known to be up by one that did not start it."""
    vz.start(101)
    vz.kill_daemon()
    child = attached(vz)
    shown(vz, child, "a-word")
    vz.ctl("stop", "101")
    machine.until("the container is down", lambda: vz.status(101) == "exist unmounted down")
    vz.ctl("start", "101")
    shown(vz, child, "another")
    leave(child)


@CHECKPOINTS
def test_it_goes_on_after_a_checkpoint_that_failed(vz: Vz) -> None:
    vz.start(101)
    child = attached(vz)
    shown(vz, child, "before-it")
    vz.ctl("chkpnt", "101", "--dumpfile", "/proc/1/no/such/place", check=3)
    shown(vz, child, "after-it")
    leave(child)
