"""Debian's own nginx, by apt, over the network: under vzinit as under the image's own systemd, which is the judge."""

import re
from concurrent.futures import ThreadPoolExecutor
from difflib import unified_diff
from functools import partial

import pytest

from tests.harness import machine
from tests.harness.apt_repository import USE_IT, AptRepository
from tests.harness.installation import Vz
from tests.harness.patience import patient

pytestmark = [pytest.mark.system, pytest.mark.userland, pytest.mark.slow]

INITS = {"101": "vz", "102": "handoff"}
APT = "DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 --no-install-recommends"
POLICY = "/usr/sbin/policy-rc.d"
RUNS, IS_DOWN = "active", "inactive"
# What is done, and what nginx does then.
LIFE = (
    (f"{APT} install nginx logrotate", RUNS),
    ("service nginx restart; /etc/init.d/nginx reload; invoke-rc.d nginx force-reload", RUNS),
    ("invoke-rc.d nginx upgrade", RUNS),  # the new program takes the sockets over, the old one ends
    (f"apt-get -q update; {APT} dist-upgrade", RUNS),
    (f"systemctl disable --now nginx; {APT} install --reinstall nginx nginx-common", IS_DOWN),
    (f"systemctl enable --now nginx && {APT} remove nginx nginx-common", IS_DOWN),
    (f"{APT} install nginx", RUNS),
    (f"{APT} purge nginx nginx-common logrotate", IS_DOWN),
    (f"printf '#!/bin/sh\\nexit 101\\n' >{POLICY}; chmod 755 {POLICY}; {APT} install nginx logrotate", IS_DOWN),
    (f"rm {POLICY}; {APT} purge nginx nginx-common logrotate", IS_DOWN),
    (f"systemctl mask nginx; {APT} install nginx", IS_DOWN),
    ("systemctl unmask nginx; systemctl start nginx", RUNS),
)
STATE = """systemctl is-active nginx; systemctl is-enabled nginx; systemctl is-active logrotate.timer
systemctl show -P ActiveState -P SubState -P Result -P LoadState -P UnitFileState nginx
systemctl --failed --no-legend; systemctl list-timers --no-legend | awk '{print $(NF-1), $NF}' | sort
ss -ltnH | awk '{print $4}' | sort; ps -C nginx -o user:20,args | sort
ls -R /etc/systemd/system /etc/rc?.d /etc/init.d /var/lib/systemd/deb-systemd-helper-enabled
dpkg --audit; dpkg -l nginx nginx-common logrotate"""
# Speeds, what systemd has in memory, timers for the disks of the host; where Debian 13's systemd says that units are.
NOT_COMPARED = re.compile(
    r"^(Fetched|Get:|Ign:|Hit:|Warning: The unit file|e2scrub_all|fstrim).*\n|(?<![a-z])/usr(?=/lib/systemd)",
    re.MULTILINE,
)


def answer(vz: Vz, ctid: str, command: str) -> str:
    done = vz.ctl("exec2", ctid, f"exec 2>&1\n{command}", check=None, timeout=patient(600))
    return NOT_COMPARED.sub("", done.stdout) + f"exit {done.code}"


def both(vz: Vz, command: str) -> str:
    """What each of the two answers, which is the same."""
    with ThreadPoolExecutor() as threads:
        ours, theirs = threads.map(partial(answer, vz, command=command), INITS)
    assert ours == theirs, command
    return ours


def is_in_state(vz: Vz, expected: str) -> bool:
    """Both are, and all else that is to be seen is the same; workers on their way out take a moment."""
    ours, theirs = (answer(vz, ctid, STATE) for ctid in INITS)
    print("\n".join(unified_diff(ours.splitlines(), theirs.splitlines(), lineterm="", n=0)))
    return ours == theirs and ours.startswith(f"{expected}\n")


def main_process(vz: Vz) -> str:
    return vz.ctl("exec2", "101", "systemctl show -P MainPID nginx").stdout.strip()


@pytest.mark.parametrize("image", ["debian-12", "debian-13"])
def test_a_whole_life_of_a_package(vz: Vz, image: str) -> None:
    repository = AptRepository(vz, f"{image}-packages")
    for ctid, init in INITS.items():
        vz.start(int(ctid), "--init", init, "--ipadd", f"192.0.2.{ctid}", template=image)
        vz.ctl("exec2", ctid, f"{USE_IT}; until systemctl is-active cron; do sleep 0.1; done; apt-get -q update")
    for command, expected in LIFE:
        if "dist-upgrade" in command:
            repository.upgrade("nginx", "nginx-common")
        before = main_process(vz)
        assert both(vz, command).endswith("exit 0"), command
        machine.until(f"{expected} after {command}", partial(is_in_state, vz, expected), pause=0.5)
        assert expected == IS_DOWN or main_process(vz) != before, f"it is the old one after {command}"
    assert "Welcome to nginx" in page(vz, "192.0.2.101")
    both(vz, "sync -f /")  # a busy host needs longer than the end of a test waits for the disk
    assert "no error" in vz.ctl("exec2", "101", "grep -c . /var/log/nginx/error.log || echo no error").stdout


def page(vz: Vz, address: str) -> str:
    return vz.run("busybox", "wget", "-qO-", f"http://{address}/").stdout
