"""`hostd --upgrade`: new code under running containers, by exec in place."""

import pytest

from tests.harness import machine
from tests.harness.installation import Vz

pytestmark = pytest.mark.system


def test_upgrade_in_place(vz: Vz) -> None:
    vz.start(101, "--ipadd", "192.0.2.1")
    clock, keeper, daemon = vz.uptime_clock(101), vz.keeper_pid, vz.daemon_pid
    vz.run("hostd", "--upgrade")
    machine.until("a new daemon", lambda: vz.daemon_pid not in (0, daemon))
    assert vz.keeper_pid == keeper
    assert vz.ctl("exec2", "101", "echo alive").stdout == "alive\n"
    assert vz.uptime_clock(101) == clock
    vz.ctl("exec", "101", "reboot -f", check=None)
    vz.wait_reboot(101, clock)


def test_stop_of_hostd_leaves_containers_running(vz: Vz) -> None:
    vz.start(101, "--ipadd", "192.0.2.1")
    clock = vz.uptime_clock(101)
    vz.stop_hostd()
    vz.ping("192.0.2.1")
    assert vz.ctl("exec2", "101", "echo alive").stdout == "alive\n"
    assert vz.uptime_clock(101) == clock
