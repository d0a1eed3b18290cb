"""Root file systems as other distributions publish them: dropped into the cache, and as images of their recipes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from images import __main__ as command
from tests.harness import foreign, machine
from tests.harness.installation import CACHE, Vz

pytestmark = [pytest.mark.system, pytest.mark.slow]

ARCH = os.uname().machine
DOWN = "exist unmounted down"
PID_1 = {("alpine", "vz"): "vzinit", ("alpine", "handoff"): "busybox",
         ("rocky", "vz"): "vzinit", ("rocky", "handoff"): "systemd"}  # fmt: skip


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The tarballs by the recipe that takes them."""
    folder = tmp_path_factory.mktemp("published")
    debian = f"{CACHE}/debian-12-{ARCH}.tar.zst"
    assert os.path.exists(debian), "run `make images`"
    made = {"alpine": foreign.alpine(folder), "rocky": foreign.rhel(folder, debian)}
    yield made
    for path in folder.rglob("*.tar.*"):
        path.unlink()


def inside(vz: Vz, line: str, check: int | None = 0) -> str:
    return vz.ctl("exec2", "101", line, check=check).stdout


def a_life(vz: Vz, template: str, init: str, pid_1: str) -> None:
    """Address, resolver, name, identity, exec, password, reboot, stop."""
    vz.ctl("create", "101", "--ostemplate", template, "--init", init, "--ipadd", "192.0.2.1", "--hostname", "ship")
    vz.ctl("set", "101", "--nameserver", "192.0.2.53", "--stop-timeout", "20", "--save")
    vz.ctl("start", "101", "--wait")
    vz.ping("192.0.2.1")
    assert os.path.basename(inside(vz, "readlink /proc/1/exe").strip()) == pid_1
    assert inside(vz, "cat /etc/resolv.conf /proc/sys/kernel/hostname /etc/hostname") == (
        "nameserver 192.0.2.53\nship\nship\n"
    )
    machine.until("it has an identity", lambda: len(inside(vz, "cat /etc/machine-id").strip()) == 32)
    assert vz.ctl("exec2", "101", "exit 7", check=7).stderr == ""
    vz.ctl("set", "101", "--userpasswd", "root:secret")
    assert inside(vz, "grep '^root:[$]' /etc/shadow") != ""
    clock = vz.uptime_clock(101)
    vz.ctl("exec", "101", "reboot", check=None)
    vz.wait_reboot(101, clock)
    vz.ping("192.0.2.1")


@pytest.mark.parametrize(("name", "init"), list(PID_1))
def test_dropped_into_the_cache(vz: Vz, published: dict[str, str], name: str, init: str) -> None:
    """Under the name that the distribution gave it."""
    file = os.path.basename(published[name])
    os.symlink(published[name], f"{vz.paths.template_cache}/{file}")
    a_life(vz, file.partition(".tar")[0], init, PID_1[name, init])
    vz.ctl("stop", "101")
    assert vz.status(101) == DOWN


@pytest.mark.parametrize(("name", "init"), list(PID_1))
def test_as_an_image(vz: Vz, published: dict[str, str], tmp_path: Path, name: str, init: str) -> None:
    """With a login prompt at its console, and sshd where it has one."""
    build = ["build", name, "--cache", str(tmp_path), "--output", vz.paths.template_cache]
    assert command.main([*build, "--tarball", published[name]]) == 0
    a_life(vz, name, init, PID_1[name, init])
    vz.ctl("stop", "101")
    vz.ctl("start", "101", "--wait")
    console = vz.spawn("vzctl", "console", "101")
    console.send("\r")
    console.expect("login: ")
    console.send("\r\x1b.")
    console.expect("Detached")
    if name == "rocky":
        listens = "bash -c '</dev/tcp/127.0.0.1/22' 2>&1"
        machine.until("sshd listens", lambda: vz.ctl("exec2", "101", listens, check=None).code == 0)
        machine.until("it is up", lambda: inside(vz, "systemctl is-system-running", None) == "running\n")
        assert inside(vz, "systemctl is-active sshd") == "active\n"
    assert inside(vz, "ls -d /.dockerenv /etc/sysconfig/network-scripts/* 2>/dev/null", check=None) == ""
    vz.ctl("stop", "101")


