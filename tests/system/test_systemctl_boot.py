"""Orders that come while a container with INIT=vz still finds out what its boot is to run."""

import pytest

from tests.harness import machine
from tests.harness.installation import Vz

pytestmark = [pytest.mark.system, pytest.mark.userland, pytest.mark.slow]

SLOW = "#!/bin/sh\nsleep 2\n"  # a generator: the plan is not there before
FILES = {
    "/etc/systemd/system-generators/slow": SLOW,
    "/etc/sysusers.d/first.conf": "u witness - - /run/by-tmpfiles\n",
    "/etc/tmpfiles.d/first.conf": "d /run/by-tmpfiles 0755 witness root -\n",
    "/etc/systemd/system/below.service": "[Service]\nType=oneshot\nRemainAfterExit=yes\n"
                                         "ExecStart=/usr/bin/test -d /run/by-tmpfiles\n",
    "/etc/systemd/system/needs.service": "[Unit]\nRequires=below.service\nAfter=below.service\n"
                                         "[Service]\nExecStart=/bin/sleep 1000\n"
                                         "[Install]\nWantedBy=multi-user.target\n",
}  # fmt: skip


def test_an_order_before_the_plan_waits_for_it(vz: Vz) -> None:
    """Nothing of the boot is left out for it, and nothing comes before systemd-sysusers and -tmpfiles."""
    vz.start(101, template="debian-12")
    for path, text in FILES.items():
        vz.ctl("exec2", "101", f"mkdir -p {path.rpartition('/')[0]}; cat >{path}; chmod 755 {path}", input=text)
    vz.ctl("exec2", "101", "systemctl enable needs")
    vz.ctl("restart", "101")
    assert vz.ctl("exec2", "101", "systemctl restart needs; systemctl is-active needs below").stdout == "active\n" * 2
    up = "systemctl is-system-running"
    machine.until("all is up", lambda: vz.ctl("exec2", "101", up, check=None).stdout == "running\n")
    assert vz.ctl("exec2", "101", "systemctl is-active ssh cron needs below").stdout == "active\n" * 4
    assert vz.ctl("exec2", "101", "stat -c %U /run/by-tmpfiles").stdout == "witness\n"
