"""Fourteen services that apt installed: under vzinit as under the image's own systemd, which is the judge."""

import re
from functools import partial

import pytest

from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.many_services import SERVICES, all_up, settle_ports

pytestmark = [pytest.mark.system, pytest.mark.userland, pytest.mark.slow]

OURS, THEIRS = "101", "102"
LISTENERS = "ss -ltnH | awk '{print $4}' | sort -u; ss -lxH | awk '{print $5}' | grep ^/ | sort -u"
OWNERS = "ps -eo user:20,comm --no-headers | awk '{print $1, $2}' | sort -u"
# What is systemd's own (so is ssh-unix-local), and what is ours or only looks.
NOT_COMPARED = re.compile(
    r"systemd|ssh-unix-local|/run/vzinit|init$| (ps|ss|awk|sort|bash|sh|grep)$|agetty|/run/dbus/containers"
)


def inside(vz: Vz, ctid: str, command: str) -> str:
    return vz.ctl("exec2", ctid, command).stdout


def lines(vz: Vz, ctid: str, command: str) -> set[str]:
    return {line for line in inside(vz, ctid, command).splitlines() if not NOT_COMPARED.search(line)}


def started(vz: Vz, ctid: str, init: str, image: str) -> None:
    vz.create(int(ctid), "--init", init, "--diskspace", "4G", template=image)
    settle_ports(vz, ctid)
    vz.ctl("set", ctid, "--stop-timeout", "120", "--save")
    vz.ctl("start", ctid, "--wait")
    machine.until("up", partial(all_up, vz, ctid, image))


@pytest.mark.parametrize("image", SERVICES)
def test_the_same_servers_as_under_systemd(vz: Vz, image: str) -> None:
    """Who listens where, and who runs as whom."""
    for ctid, init in ((OURS, "vz"), (THEIRS, "handoff")):
        started(vz, ctid, init, image)
    for what in (LISTENERS, OWNERS):  # short-lived workers come and go
        machine.until("the same", partial(are_the_same, vz, what), pause=1)


def are_the_same(vz: Vz, what: str) -> bool:
    difference = lines(vz, OURS, what) ^ lines(vz, THEIRS, what)
    print(what, sorted(difference))
    return not difference


@pytest.mark.parametrize("image", SERVICES)
def test_killed_and_stopped(vz: Vz, image: str) -> None:
    """What has Restart= comes back; the way down is orderly: databases find themselves clean afterwards."""
    started(vz, OURS, "vz", image)
    for name in ("mariadb", "redis-server", "memcached", "prometheus-node-exporter", "ssh", "cron"):
        before = inside(vz, OURS, f"systemctl show -P MainPID {name}")
        inside(vz, OURS, f"kill -9 {before}")
        machine.until(f"{name} is back", partial(is_another, vz, name, before))
    inside(vz, OURS, "kill -9 $(systemctl show -P MainPID nginx)")  # it has no Restart=
    machine.until("nginx is down", lambda: vz.ctl("exec2", OURS, "systemctl is-active nginx", check=None).code == 3)
    inside(vz, OURS, "systemctl start nginx")
    clock, recoveries = vz.uptime_clock(int(OURS)), mariadb_recoveries(vz)
    assert recoveries, "it was killed a moment ago"
    vz.ctl("exec", OURS, "systemctl reboot", check=None)
    vz.wait_reboot(int(OURS), clock)
    machine.until("up again", lambda: all_up(vz, OURS, image))
    log = inside(vz, OURS, "cat /var/log/postgresql/postgresql-*-main.log")
    assert "database system was shut down" in log
    assert "not properly shut down" not in log
    assert mariadb_recoveries(vz) <= recoveries
    inside(vz, OURS, "sync -f /")  # a busy host needs longer than the end of a test waits for the disk


def mariadb_recoveries(vz: Vz) -> int:
    return inside(vz, OURS, "journalctl -u mariadb -o cat").lower().count("starting crash recovery")


def is_another(vz: Vz, name: str, before: str) -> bool:
    state = vz.ctl("exec2", OURS, f"systemctl show -P MainPID {name}; systemctl is-active {name}", check=None).stdout
    return state.split()[-1] == "active" and state.split()[0] != before.strip()
