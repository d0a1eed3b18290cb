"""What time it is in a container: since its own start, whoever tells it."""

import json
import re

import pytest

from hostd.kernel.clocks import Clocks
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS, needs

pytestmark = [pytest.mark.system, needs("fuse", "memory", "cpu", "time-namespaces")]


@CHECKPOINTS
def test_the_kernel_s_clock_is_the_container_s(vz: Vz) -> None:
    """What ps counts from, and sysinfo(2), which busybox asks; it goes on over a checkpoint."""
    vz.start(101)
    first, clocks = agreed(vz, 101), Clocks.of(vz.init_pid(101))
    vz.ctl("chkpnt", "101")
    vz.ctl("restore", "101")
    again = Clocks.of(vz.init_pid(101))
    assert clocks is not None and again is not None and again.boottime > clocks.boottime, "it was not there meanwhile"
    assert first < agreed(vz, 101) < first + 60
    vz.start(102, template="debian-12")
    assert 0 <= int(vz.ctl("exec2", "102", "ps -o etimes= -p 1").stdout) < 60


@CHECKPOINTS
def test_what_it_has_spent_is_not_forgotten(vz: Vz) -> None:
    """Twice: what was before the first checkpoint is in the second as well."""
    vz.start(101)
    vz.ctl("exec2", "101", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done")
    before = spent(vz, 101)
    assert before["user"] > 10
    for _ in range(2):
        vz.ctl("chkpnt", "101")
        vz.ctl("restore", "101")
        after = spent(vz, 101)
        assert all(after[name] >= before[name] for name in before), (before, after)
        before = after
    vz.ctl("restart", "101")
    assert spent(vz, 101)["user"] < before["user"], "a start begins anew"


def spent(vz: Vz, ctid: int) -> dict[str, float]:
    """Of the processors, as the container and the host see it; ticks and seconds."""
    user, _, system = vz.ctl("exec2", str(ctid), "head -n 1 /proc/stat").stdout.split()[1:4]
    listed = json.loads(vz.vzlist("-jo", "cputime", str(ctid)))[0]["cputime"]
    return {"user": int(user), "system": int(system), "listed": listed}


def agreed(vz: Vz, ctid: int) -> float:
    """Seconds of uptime, in the sight of all who tell it."""
    look = "cat /proc/uptime; cut -d' ' -f22 /proc/self/stat; cat /proc/uptime; uptime; grep btime /proc/stat; date +%s"
    earlier, born, up, words, btime, now = vz.ctl("exec2", str(ctid), look).stdout.splitlines()
    seconds = float(up.split()[0])
    assert float(earlier.split()[0]) - 0.02 <= int(born) / 100 <= seconds
    assert re.search(r" up [0-3] min", words), words
    listed = json.loads(vz.vzlist("-jo", "uptime", str(ctid)))[0]["uptime"]
    later = float(vz.ctl("exec2", str(ctid), "cat /proc/uptime").stdout.split()[0])
    assert seconds <= listed <= later
    assert seconds - 2 < int(now) - int(btime.split()[1]) < later + 2
    return seconds
