"""create, start, status, stop, restart, mount, umount, destroy: the words and codes scripts rely on."""

import os
import re

import pytest

from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.needs import needs

pytestmark = [pytest.mark.system, needs("userns", "unified")]


def test_the_life_of_a_container(vz: Vz) -> None:
    vz.template("busybox")
    assert vz.status(101) == "deleted unmounted down"

    created = vz.ctl("create", "101", "--ostemplate", "busybox", "--hostname", "one.example.org")
    milestones = [
        "Creating container private area (busybox)",
        "Performing postcreate actions",
        f"CT configuration saved to {vz.paths.ct_conf(101)}",
        "Container private area was created",
    ]
    assert [line for line in created.stdout.splitlines() if line in milestones] == milestones
    assert created.stderr == ""
    assert vz.status(101) == "exist unmounted down"

    started = vz.ctl("start", "101")
    lines = started.stdout.splitlines()
    assert lines[0] == "Starting container..."
    assert "Container is mounted" in lines
    assert lines[-1] == "Container start in progress..."
    assert started.stderr == ""
    assert vz.status(101) == "exist mounted running"
    assert vz.ctl("exec2", "101", "hostname").stdout == "one.example.org\n"

    stopped = vz.ctl("stop", "101")
    assert stopped.stdout.splitlines() == [
        "Stopping container ...",
        "Container was stopped",
        "Container is unmounted",
    ]
    assert stopped.stderr == ""
    assert vz.status(101) == "exist unmounted down"

    destroyed = vz.ctl("destroy", "101")
    assert destroyed.stdout.splitlines() == [
        f"Destroying container private area: {vz.prefix}/var/lib/vz/private/101",
        "Container private area was destroyed",
    ]
    assert vz.status(101) == "deleted unmounted down"
    assert not os.path.exists(vz.paths.ct_conf(101))
    assert os.path.exists(vz.paths.ct_conf(101) + ".destroyed")


def test_every_wrong_moment_has_its_code(vz: Vz) -> None:
    vz.start(101)
    again = vz.ctl("start", "101", check=32)
    assert "Container is already running" in again.stdout + again.stderr
    assert "is currently running" in vz.ctl("destroy", "101", check=32).stdout
    vz.ctl("umount", "101", check=32)
    vz.ctl("stop", "101", "--fast")
    down = vz.ctl("stop", "101")
    assert down.stderr == "Unable to stop: container is not running\n"
    assert vz.ctl("umount", "101", check=40).stderr == "CT is not mounted\n"
    vz.ctl("mount", "101")
    assert vz.status(101) == "exist mounted down"
    assert vz.ctl("mount", "101").stderr == "Container is already mounted\n"
    assert "currently mounted" in vz.ctl("destroy", "101", check=41).stdout
    vz.ctl("umount", "101")
    assert vz.status(101) == "exist unmounted down"


def test_start_wait_says_when_the_services_are_up(vz: Vz) -> None:
    vz.create(101)
    started = vz.ctl("start", "101", "--wait")
    assert "Container start in progress..., waiting ..." in started.stdout
    assert started.stdout.endswith("Container started successfully\n")


def test_a_disabled_container_starts_only_by_force(vz: Vz) -> None:
    vz.create(101)
    vz.ctl("set", "101", "--disabled", "yes", "--save")
    refused = vz.ctl("start", "101", check=105)
    assert "Container start disabled" in refused.stdout + refused.stderr
    vz.ctl("start", "101", "--force")
    assert vz.status(101) == "exist mounted running"


def test_restart_gives_another_init(vz: Vz) -> None:
    vz.start(101)
    before = vz.uptime_clock(101)
    restarted = vz.ctl("restart", "101")
    assert restarted.stdout.startswith("Restarting container\n")
    assert vz.uptime_clock(101) not in ("", before)


def test_names_work_wherever_an_id_does(vz: Vz) -> None:
    vz.create(101)
    assert "Name web assigned" in vz.ctl("set", "101", "--name", "web", "--save").stdout
    assert os.path.islink(f"{vz.paths.names_dir}/web")
    vz.ctl("start", "web")
    assert vz.ctl("status", "web").stdout == "CTID 101 exist mounted running\n"
    assert vz.ctl("exec2", "web", "echo", "hi").stdout == "hi\n"
    vz.ctl("stop", "web", "--fast")
    vz.ctl("set", "web", "--name", "", "--save")
    assert not os.path.lexists(f"{vz.paths.names_dir}/web")


def test_data_survives_stop_and_start(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("exec2", "101", "echo kept > /root/file; chown 1000:1000 /root/file")
    vz.ctl("restart", "101")
    assert vz.ctl("exec2", "101", "cat /root/file; stat -c %u:%g /root/file").stdout == "kept\n1000:1000\n"


@pytest.mark.parametrize("layout", ["overlay", "simfs"])
def test_both_layouts_hold_a_container(vz: Vz, layout: str) -> None:
    vz.start(101, "--layout", layout)
    assert vz.vzlist("-H", "-o", "layout", "101").strip() == layout
    assert vz.ctl("exec2", "101", "touch /x && rm /x && echo ok").stdout == "ok\n"
    vz.ctl("stop", "101", "--fast")
    vz.ctl("destroy", "101")
    assert not os.path.exists(f"{vz.prefix}/var/lib/vz/private/101")


def test_mounted_tree_is_visible_at_ve_root_and_writable(vz: Vz) -> None:
    vz.create(101)
    vz.ctl("mount", "101")
    root = f"{vz.prefix}/var/lib/vz/root/101"
    assert os.path.isdir(f"{root}/etc")
    with open(f"{root}/etc/from-host", "w", encoding="ascii") as file:
        file.write("hello\n")
    vz.ctl("umount", "101")
    vz.ctl("start", "101")
    assert vz.ctl("exec2", "101", "cat /etc/from-host; stat -c %u /etc/from-host").stdout == "hello\n0\n"


def test_a_stop_can_leave_it_mounted(vz: Vz) -> None:
    """Also when hostd dies then; a start takes it from there, and so does umount.  It has no address any more."""
    vz.start(101, "--ipadd", "192.0.2.1")
    vz.create(102, "--ipadd", "192.0.2.1")
    vz.ctl("exec2", "101", "echo left >/etc/left")
    for then in (vz.kill_daemon, lambda: None):
        assert vz.ctl("stop", "101", "--skip-umount").stdout.endswith("Container was stopped\n")
        then()
        assert vz.status(101) == "exist mounted down"
        assert machine.read(vz.paths.root_default.replace("$VEID", "101") + "/etc/left") == "left\n"
        vz.ctl("start", "101")
    vz.ctl("stop", "101", "--fast", "--skip-umount")
    vz.ctl("start", "102")
    vz.ping("192.0.2.1")
    assert "Container is unmounted" in vz.ctl("umount", "101").stdout
    assert vz.status(101) == "exist unmounted down"


def test_a_start_says_what_the_container_does_not_get(vz: Vz) -> None:
    """One that comes from OpenVZ with a veth device has no network, say."""
    vz.create(101)
    with open(vz.paths.ct_conf(101), "a", encoding="ascii") as file:
        file.write('NETIF="ifname=eth0"\nCAPABILITY="SYS_TIME:on"\nIOLIMIT="0"\nKMEMSIZE="1:2"\n')
    started = vz.ctl("start", "101")
    assert f"\nWarning: not enforced yet: NETIF of {vz.paths.ct_conf(101)}\n" in started.stdout
    assert "\nWarning: CAPABILITY SYS_TIME:on has no effect: " in started.stdout
    assert started.stderr == ""


def test_version_and_help(vz: Vz) -> None:
    first = vz.ctl("--version").stdout
    assert re.fullmatch(r"vzctl version \d+\.\d+(\.\d+)?\n", first)
    assert vz.ctl("--help").stdout.splitlines()[0] + "\n" == first


def test_quiet_means_quiet(vz: Vz) -> None:
    vz.create(101)
    quiet = vz.ctl("--quiet", "start", "101")
    assert (quiet.stdout, quiet.stderr) == ("", "")


def test_log_file_has_the_documented_shape(vz: Vz) -> None:
    vz.start(101)
    with open(vz.paths.log_file, encoding="utf-8") as file:
        lines = [line for line in file.read().splitlines() if "CT 101" in line]
    shape = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} vzctl : CT 101 : .+"
    assert lines and all(re.fullmatch(shape, line) for line in lines), lines


def test_verbose_and_quiet(vz: Vz) -> None:
    """Steps with their times on stderr, and stdout as ever; or nothing at all, and the log says it."""
    vz.create(101)
    script = f"{vz.paths.conf_dir}/101.mount"
    with open(script, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\n")
    os.chmod(script, 0o755)
    plain = vz.ctl("start", "101")
    vz.ctl("stop", "101", "--fast")
    told = vz.ctl("--verbose", "start", "101")
    assert (told.stdout, plain.stderr) == (plain.stdout, "")
    lines = told.stderr.splitlines()
    assert f"running {script}" in lines
    for step in ("ground: storage", "start: ground", "outfit: network", "vzctl start"):
        assert any(re.fullmatch(rf"{step} \d+\.\d ms", line) for line in lines), (step, lines)
    assert vz.ctl("--verbose", "exec", "101", "echo hi").stdout == "hi\n"
    assert vz.ctl("--verbose", "stop", "101", "--fast").stderr.splitlines()[-1].startswith("vzctl stop ")
    for argv, code in ((["start", "101"], 0), (["start", "101"], 32), (["stop", "101", "--fast"], 0)):
        said = vz.ctl("--quiet", *argv, check=code)
        assert (said.stdout, said.stderr) == ("", "")
    log = machine.read(vz.paths.log_file)
    assert log.count("Container start in progress...") == 3 and "Container is already running" in log
    assert len(re.findall(r"start: ground \d", log)) == 1


ARENA = 64 << 20  # bytes of addresses that glibc takes for one on a 64-bit machine, most of them inaccessible


def test_the_daemon_takes_no_memory_for_nothing(vz: Vz) -> None:
    """OpenSSL for what nobody asks of it, and an arena of malloc for each thread."""
    for ctid in (101, 102, 103):
        vz.start(ctid)
    maps = machine.read(f"/proc/{vz.daemon_pid}/maps")
    assert "libssl" not in maps and "libcrypto" not in maps
    assert len(os.listdir(f"/proc/{vz.daemon_pid}/task")) > 1, "threads were at work"
    reserved = [line for line in maps.splitlines() if " ---p " in line and _size(line) >= ARENA // 2]
    assert reserved == []


def _size(line: str) -> int:
    """Bytes of a mapping, as /proc/PID/maps has it."""
    start, end = (int(word, 16) for word in line.split()[0].split("-"))
    return end - start
