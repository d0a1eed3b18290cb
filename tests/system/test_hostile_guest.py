"""A guest that stops its own PID 1, against hostd: others are served as if it were not there."""

import os
import time
from functools import partial

import pytest

from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.patience import patient

pytestmark = pytest.mark.system

# Trace PID 1 and leave it stopped; the tracer must live on.  PTRACE_SEIZE, PTRACE_INTERRUPT.
STOP_INIT = """
my $n = {x86_64 => 101, aarch64 => 117}->{(split ' ', `uname -m`)[0]};
syscall($n, 0x4206, 1, 0, 0) == 0 && syscall($n, 0x4207, 1, 0, 0) == 0 or exit 3;
open F, '>', '/tmp/stopped'; close F; sleep 1000;
"""


def stops(vz: Vz, ctid: int) -> bool:
    """False while its recovery holds the lock."""
    return vz.ctl("stop", str(ctid), "--fast", check=None).code == 0


def test_a_stopped_init_keeps_nobody_waiting(vz: Vz) -> None:
    for ctid in (101, 102, 103):
        vz.create(ctid, template="debian-12" if ctid != 103 else "busybox")
        vz.ctl("start", str(ctid))
    for ctid in (101, 102):
        vz.popen("vzctl", "exec3", str(ctid), "/usr/bin/perl", "-e", STOP_INIT)
        machine.until("PID 1 is stopped", partial(os.path.exists, f"{vz.prefix}/var/lib/vz/root/{ctid}/tmp/stopped"))
    before = time.monotonic()
    assert vz.ctl("exec2", "103", "echo fine").stdout == "fine\n"
    vz.kill_daemon()
    assert vz.ctl("exec2", "103", "echo fine").stdout == "fine\n"
    assert vz.status(101) == "exist mounted running"
    assert time.monotonic() - before < patient(19), "each stopped one takes ten seconds to be given up"
    assert "taken over in the background: CT 101 102" in machine.read(vz.paths.log_file)
    for ctid in (101, 102):
        machine.until("taken down", partial(stops, vz, ctid))
        assert vz.status(ctid) == "exist unmounted down"
