"""Action scripts: what they are given, in which order they run, and what a failing one does."""

import os
import signal

import pytest

from hostd.config import files
from tests.harness import leaks, machine
from tests.harness.installation import TIMEOUT, Vz

pytestmark = pytest.mark.system

DOWN = "exist unmounted down"
RUNNING = "exist mounted running"
MOUNTS = ["vps.premount", "101.premount", "vps.mount", "101.mount"]
UMOUNTS = ["101.umount", "vps.umount", "101.postumount", "vps.postumount"]


def script(vz: Vz, name: str, text: str = "", *, mode: int = 0o755) -> None:
    """An action script that notes its name in `ran`, then does *text*."""
    path = f"{vz.paths.conf_dir}/{name}"
    with open(path, "w") as file:
        file.write(f"#!/bin/sh\necho {name} >>{vz.prefix}/ran\n{text}\n")
    os.chmod(path, mode)


def inner(vz: Vz, name: str, text: str) -> None:
    """A script that is run in the container."""
    with open(f"{vz.paths.conf_dir}/{name}", "w") as file:
        file.write(text)


def ran(vz: Vz) -> list[str]:
    """What has run since the last question."""
    path = f"{vz.prefix}/ran"
    names = machine.read(path).split()
    if names:
        os.unlink(path)
    return names


def test_order_and_environment(vz: Vz) -> None:
    vz.create(101)
    for name in MOUNTS + UMOUNTS:
        script(vz, name)
    script(vz, "101.mount", f"/usr/bin/env >{vz.prefix}/env; pwd; echo problem >&2")
    started = vz.ctl("start", "101")
    assert started.stderr == ""
    assert started.stdout.splitlines()[:4] == ["Starting container...", "/", "problem", "Container is mounted"]
    assert ran(vz) == MOUNTS
    environment = dict(line.split("=", 1) for line in machine.read(f"{vz.prefix}/env").splitlines())
    environment.pop("PWD"), environment.pop("SHLVL", ""), environment.pop("_", "")  # of sh itself
    assert environment.pop("PATH")
    assert environment == {"VEID": "101", "VE_CONFFILE": vz.paths.ct_conf(101), "HOME": "/", "TERM": "linux"}
    vz.ctl("stop", "101")
    assert ran(vz) == UMOUNTS
    vz.ctl("mount", "101")
    assert ran(vz) == MOUNTS
    vz.ctl("umount", "101")
    assert ran(vz) == UMOUNTS


def test_what_is_mounted_there_is_seen_inside_and_goes_again(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("exec2", "101", "mkdir -p /srv/a")  # the host's root is not the owner of this tree, so not by the script
    vz.ctl("stop", "101")
    shared = f"{vz.prefix}/shared"
    os.mkdir(shared)
    with open(f"{shared}/greeting", "w") as file:
        file.write("from the host\n")
    root = f"{vz.prefix}/var/lib/vz/root/$VEID"
    script(vz, "101.mount", f". $VE_CONFFILE; mount --bind {shared} {root}/srv/a")
    script(vz, "101.umount", f"umount {root}/srv/a")
    vz.ctl("start", "101")
    assert vz.ctl("exec2", "101", "cat /srv/a/greeting; stat -c %u /srv/a").stdout == "from the host\n0\n"
    clock = vz.uptime_clock(101)
    vz.ctl("exec", "101", "reboot", check=None)
    vz.wait_reboot(101, clock)
    assert vz.ctl("exec2", "101", "cat /srv/a/greeting").stdout == "from the host\n"
    vz.ctl("stop", "101")
    assert ran(vz) == ["101.mount", "101.umount"]
    assert leaks.of_container(vz.prefix, vz.paths.cgroup_root, 101) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vps.premount", ["vps.premount", "101.postumount", "vps.postumount"]),
        ("101.mount", [*MOUNTS, *UMOUNTS]),
    ],
)
def test_a_failing_mount_script_undoes_the_start(vz: Vz, name: str, expected: list[str]) -> None:
    vz.create(101)
    for one in MOUNTS + UMOUNTS:
        script(vz, one)
    script(vz, name, "exit 3")
    failed = vz.ctl("start", "101", check=79)
    assert failed.stderr == f"{vz.paths.conf_dir}/{name} failed: exit code 3\n"
    assert ran(vz) == expected
    assert vz.status(101) == DOWN
    assert leaks.of_container(vz.prefix, vz.paths.cgroup_root, 101) == []


def test_a_script_that_cannot_be_executed(vz: Vz) -> None:
    vz.create(101)
    script(vz, "101.mount", mode=0o644)
    failed = vz.ctl("start", "101", check=79)
    assert failed.stderr == f"{vz.paths.conf_dir}/101.mount is not executable (chmod +x it, or remove it)\n"


def test_a_failing_umount_script(vz: Vz) -> None:
    """umount leaves the container mounted; stop has nothing to leave it to, and only tells."""
    vz.create(101)
    script(vz, "101.umount", "exit 1")
    vz.ctl("mount", "101")
    vz.ctl("umount", "101", check=79)
    assert vz.status(101) == "exist mounted down"
    script(vz, "101.umount")
    vz.ctl("umount", "101")
    script(vz, "101.umount", "exit 1")
    vz.ctl("start", "101")
    stopped = vz.ctl("stop", "101", check=79)
    assert stopped.stderr == f"{vz.paths.conf_dir}/101.umount failed: exit code 1\n"
    assert vz.status(101) == DOWN


def test_interrupting_the_command_kills_the_script(vz: Vz) -> None:
    vz.create(101)
    script(vz, "101.mount", f"echo $$ >{vz.prefix}/pid; sleep 4321")
    script(vz, "101.umount")
    child = vz.popen("vzctl", "start", "101")
    machine.until("the script runs", lambda: machine.read(f"{vz.prefix}/pid") != "")
    child.terminate()
    assert child.wait(TIMEOUT) == 128 + signal.SIGTERM
    assert not machine.alive(int(machine.read(f"{vz.prefix}/pid")))
    assert ran(vz) == ["101.mount", "101.umount"]
    assert vz.status(101) == DOWN


def test_umount_scripts_run_after_a_crash_of_hostd(vz: Vz) -> None:
    vz.create(101)
    for name in MOUNTS + UMOUNTS:
        script(vz, name)
    vz.stop_hostd()
    files.replace(f"{vz.prefix}/fault", "start.spawn:both")
    vz.start_hostd(VZ_FAULT=f"@{vz.prefix}/fault")
    vz.ctl("start", "101", check=None)
    vz.wait_status(101, DOWN)
    machine.until("the last script", lambda: "vps.postumount" in machine.read(f"{vz.prefix}/ran"))
    assert ran(vz) == MOUNTS + UMOUNTS


def test_start_script_runs_inside_before_the_services(vz: Vz) -> None:
    vz.create(101)
    inner(vz, "101.start", "echo hello from $(hostname); ps >/run/seen; readlink /proc/1/ns/pid >/run/ns; exit 0")
    vz.ctl("set", "101", "--hostname", "one.example.org", "--save")
    started = vz.ctl("start", "101", "--wait")
    assert "hello from one.example.org" in started.stdout.splitlines()
    assert vz.ctl("exec2", "101", "readlink /proc/1/ns/pid; ls /run/vz-script* 2>/dev/null", check=None).stdout == (
        vz.ctl("exec2", "101", "cat /run/ns").stdout
    )
    before = vz.ctl("exec2", "101", "grep -c syslogd /run/seen", check=None).stdout
    assert before == "0\n", "services were running already"


def test_a_failing_start_script_undoes_the_start(vz: Vz) -> None:
    vz.create(101)
    inner(vz, "101.start", "#!/bin/sh\nexit 5\n")
    failed = vz.ctl("start", "101", check=79)
    assert failed.stderr == f"{vz.paths.conf_dir}/101.start failed in the container: exit code 5\n"
    assert vz.status(101) == DOWN


def test_stop_script(vz: Vz) -> None:
    """It runs at an orderly stop; when it fails, the container runs on."""
    vz.start(101)
    inner(vz, "101.stop", "echo leaving; exit 1")
    failed = vz.ctl("stop", "101", check=79)
    assert failed.stdout.splitlines() == ["Stopping container ...", "leaving"]
    assert vz.status(101) == RUNNING
    assert "leaving" not in vz.ctl("stop", "101", "--fast").stdout
    vz.ctl("start", "101")
    inner(vz, "101.stop", "echo leaving")
    assert vz.ctl("stop", "101").stdout.splitlines()[:3] == [
        "Stopping container ...",
        "leaving",
        "Container was stopped",
    ]


def test_create_script(vz: Vz) -> None:
    vz.template("busybox")
    script(vz, "vps.create", 'echo "made $VEID"; test -f $VE_CONFFILE', mode=0o644)
    create = ("create", "101", "--ostemplate", "busybox", "--name", "one")
    assert "made" not in vz.ctl(*create).stdout
    vz.ctl("destroy", "101")
    script(vz, "vps.create", 'echo "made $VEID"; test -f $VE_CONFFILE')
    assert vz.ctl(*create).stdout.splitlines()[-2:] == ["made 101", "Container private area was created"]
    vz.ctl("destroy", "101")
    script(vz, "vps.create", "exit 1")
    failed = vz.ctl(*create, check=79)
    assert failed.stderr.splitlines() == [
        f"{vz.paths.conf_dir}/vps.create failed: exit code 1",
        "Creation of container private area failed",
    ]
    assert vz.status(101) == "deleted unmounted down"
    assert not os.path.exists(vz.paths.ct_conf(101)) and os.listdir(vz.paths.names_dir) == []
