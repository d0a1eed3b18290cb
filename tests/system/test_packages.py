"""dpkg inside a container whose services vzinit runs: what packages with a service do at their scripts."""

import base64
import os
import subprocess

import pytest

from tests.harness.installation import Vz

pytestmark = [pytest.mark.system, pytest.mark.userland, pytest.mark.slow]

NAME = "vz-daemon"
# As debhelper's dh_installsystemd has them.
POSTINST = """#!/bin/sh
set -e
if [ "$1" = configure ]; then
    deb-systemd-helper unmask vz-daemon.service >/dev/null || true
    if deb-systemd-helper --quiet was-enabled vz-daemon.service; then
        deb-systemd-helper enable vz-daemon.service >/dev/null || true
    else
        deb-systemd-helper update-state vz-daemon.service >/dev/null || true
    fi
    if [ -d /run/systemd/system ]; then
        systemctl --system daemon-reload >/dev/null || true
        [ -n "$2" ] && action=restart || action=start
        deb-systemd-invoke $action vz-daemon.service >/dev/null || true
    fi
fi
"""
PRERM = """#!/bin/sh
set -e
if [ -d /run/systemd/system ] && [ "$1" = remove ]; then
    deb-systemd-invoke stop vz-daemon.service >/dev/null || true
fi
"""
POSTRM = """#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload >/dev/null || true
fi
if [ "$1" = purge ] && [ -x /usr/bin/deb-systemd-helper ]; then
    deb-systemd-helper purge vz-daemon.service >/dev/null || true
fi
"""
CONTROL = """Package: vz-daemon
Version: {}
Architecture: all
Maintainer: nobody <nobody@example.org>
Description: a daemon that sleeps
"""
UNIT = """[Unit]
Description=Version {0}
[Service]
ExecStart=/bin/sleep 9{0}
[Install]
WantedBy=multi-user.target
"""


def package(directory: str, version: str) -> bytes:
    """A Debian package with a service."""
    root = f"{directory}/{version}"
    files = {
        "DEBIAN/control": (CONTROL.format(version), 0o644),
        "DEBIAN/postinst": (POSTINST, 0o755),
        "DEBIAN/prerm": (PRERM, 0o755),
        "DEBIAN/postrm": (POSTRM, 0o755),
        "lib/systemd/system/vz-daemon.service": (UNIT.format(version), 0o644),
    }
    for name, (text, mode) in files.items():
        path = f"{root}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)
    for folder, _, _ in os.walk(root):
        os.chmod(folder, 0o755)
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", root], check=True, capture_output=True)
    with open(f"{root}.deb", "rb") as made:
        return made.read()


def inside(vz: Vz, command: str) -> str:
    return vz.ctl("exec2", "101", command).stdout


@pytest.mark.parametrize("image", ["debian-12", "debian-13"])
def test_a_package_with_a_service(vz: Vz, image: str) -> None:
    """Installed: it runs; upgraded: the new one runs; purged: nothing is left of it."""
    vz.start(101, template=image)
    pids = []
    for version in ("1", "2"):
        made = package(vz.prefix, version)
        vz.ctl("exec2", "101", "base64 -d >/root/p.deb", input=base64.b64encode(made).decode())
        inside(vz, "dpkg -i /root/p.deb")
        assert inside(vz, f"systemctl is-active {NAME}; systemctl is-enabled {NAME}") == "active\nenabled\n"
        assert f"9{version}" in inside(vz, f"tr '\\0' ' ' </proc/$(systemctl show -P MainPID {NAME})/cmdline")
        pids.append(inside(vz, f"systemctl show -P MainPID {NAME}"))
    assert pids[0] != pids[1]
    inside(vz, f"dpkg --purge {NAME}")
    assert vz.ctl("exec2", "101", "pgrep -x sleep", check=1).stdout == ""
    assert vz.ctl("exec2", "101", f"systemctl is-enabled {NAME}", check=None).code != 0
