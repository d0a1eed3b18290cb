"""A container that dies by itself leaves the last lines of its console in the log."""

import os
import signal

import pytest

from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS

pytestmark = pytest.mark.system


def say(vz: Vz, text: str) -> None:
    vz.ctl("exec2", "101", f"echo '{text}' > /dev/console")
    pid = vz.init_pid(101)
    machine.until("the console shows it", lambda: text in machine.read(f"/proc/{pid}/fd/2"))


def die(vz: Vz) -> str:
    """Kill PID 1; answers what the log says of it."""
    before = len(machine.read(vz.paths.log_file))
    os.kill(vz.init_pid(101), signal.SIGKILL)
    vz.wait_status(101, "exist unmounted down")
    return machine.read(vz.paths.log_file)[before:]


def test_killed(vz: Vz) -> None:
    vz.start(101)
    say(vz, "the very last words")
    said = die(vz)
    assert "init died: killed by signal 9" in said
    assert "CT 101 : console: the very last words" in said


@CHECKPOINTS
@pytest.mark.slow
def test_killed_after_a_restore_and_a_death_of_the_daemon(vz: Vz) -> None:
    """The memory file is another one then, and hostd asks for it."""
    vz.start(101)
    say(vz, "before the dump")
    vz.ctl("chkpnt", "101")
    vz.ctl("restore", "101")
    say(vz, "after the dump")
    vz.kill_daemon()
    say(vz, "after the daemon")
    said = die(vz)
    for words in ("before the dump", "after the dump", "after the daemon"):
        assert f"console: {words}" in said


def test_a_halt_is_no_death(vz: Vz) -> None:
    vz.start(101)
    say(vz, "nothing to see")
    vz.ctl("exec", "101", "halt -f", check=None)
    vz.wait_status(101, "exist unmounted down")
    assert "nothing to see" not in machine.read(vz.paths.log_file)
