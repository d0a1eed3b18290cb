"""The log says when the kernel has killed processes of a container for memory."""

import os
import re
import signal

import pytest

from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS, needs
from tests.harness.stresses import HOG

pytestmark = [pytest.mark.system, needs("memory")]


@CHECKPOINTS
def test_of_one_that_is_taken_over_late(vz: Vz) -> None:
    """Its daemon was killed in the middle of a checkpoint: the next one leaves it to a task of its own."""
    vz.create(101)
    vz.ctl("set", "101", "--ram", "32M", "--swap", "0", "--save")
    vz.stop_hostd()
    vz.start_hostd(VZ_FAULT="chkpnt.quiet:daemon")
    vz.ctl("start", "101", "--wait")
    vz.ctl("chkpnt", "101", check=3)
    late = "taken over in the background: CT 101"
    machine.until("it is taken over late", lambda: late in machine.read(vz.paths.log_file))
    machine.until("it answers", lambda: vz.answers(101))
    vz.ctl("exec2", "101", HOG, check=None)
    machine.until("the log has it", lambda: "CT 101 : out of memory: " in machine.read(vz.paths.log_file))


def test_of_one_that_died_while_there_was_no_daemon(vz: Vz) -> None:
    vz.create(101)
    vz.ctl("set", "101", "--ram", "32M", "--swap", "0", "--save")
    vz.ctl("start", "101")
    vz.ctl("exec2", "101", HOG, check=None)
    keeper, died = vz.keeper_pid, (vz.daemon_pid, vz.init_pid(101))
    os.kill(keeper, signal.SIGSTOP)
    for pid in died:
        os.kill(pid, signal.SIGKILL)
    os.kill(keeper, signal.SIGCONT)
    vz.wait_status(101, "exist unmounted down")
    log = machine.read(vz.paths.log_file)
    assert "CT 101 : init died: killed by signal 9\n" in log
    assert re.search(r"CT 101 : out of memory: \d+ killed inside since its start\n", log)
