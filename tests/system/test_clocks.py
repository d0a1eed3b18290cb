"""What time it is in a container: since its own start, whoever tells it."""

import json
import re

import pytest

from hostd.kernel.clocks import Clocks
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS, needs
from tests.harness.patience import patient

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


def agreed(vz: Vz, ctid: int) -> float:
    """Seconds of uptime, in the sight of all who tell it."""
    look = "cut -d' ' -f22 /proc/self/stat; cat /proc/uptime; uptime; grep btime /proc/stat; date +%s"
    born, up, words, btime, now = vz.ctl("exec2", str(ctid), look).stdout.splitlines()
    seconds = float(up.split()[0])
    assert 0 <= seconds - int(born) / 100 < patient(5)
    assert re.search(r" up [0-3] min", words), words
    assert abs(int(now) - int(btime.split()[1]) - seconds) < 2
    listed = json.loads(vz.vzlist("-jo", "uptime", str(ctid)))[0]["uptime"]
    assert 0 <= listed - seconds < patient(5), "vzlist asked a moment later"
    return seconds
