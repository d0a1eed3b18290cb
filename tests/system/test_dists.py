"""/etc/vz/dists: the scripts of the administrator for a distribution."""

import os
import signal

import pytest

from tests.harness import leaks, machine
from tests.harness.installation import TIMEOUT, Vz

pytestmark = pytest.mark.system

GONE = "deleted unmounted down"
CREATE = ("create", "101", "--ostemplate", "busybox", "--hostname", "one.example.org", "--name", "one")


def dist(vz: Vz, name: str, text: str, functions: str = "") -> str:
    """A distribution whose POST_CREATE is *text*; the script's path."""
    scripts = f"{vz.paths.dists_dir}/scripts"
    os.makedirs(scripts, exist_ok=True)
    with open(f"{vz.paths.dists_dir}/{name}", "w") as file:
        file.write("# of the house\nADD_IP=never.sh\nPOST_CREATE=postcreate.sh\n")
    with open(f"{scripts}/postcreate.sh", "w") as file:
        file.write(text)
    if functions:
        with open(f"{scripts}/functions", "w") as file:
            file.write(functions)
    vz.template("busybox")
    return f"{scripts}/postcreate.sh"


def nothing_left(vz: Vz) -> None:
    assert vz.status(101) == GONE
    below = (vz.paths.names_dir, os.path.dirname(vz.paths.private_default), os.path.dirname(vz.paths.root_default))
    assert [os.listdir(path) for path in below] == [[], [], []]
    assert not [name for name in os.listdir(vz.paths.conf_dir) if name.startswith("101")]
    assert leaks.of_container(vz.prefix, vz.paths.cgroup_root, 101) == []


def test_a_container_is_changed_from_inside_before_anybody_knows_it(vz: Vz) -> None:
    dist(
        vz, "busybox.conf",
        'mark || exit 9\necho "$VEID $VE_ROOT $VE_STATE $USERNS $HOSTNM $(hostname) $(id -u)"\n',
        "#!/bin/bash\n# for a shell that the image has not\nmark() { echo made >${VE_ROOT}/etc/mark; }\n",
    )  # fmt: skip
    with open(f"{vz.paths.conf_dir}/vps.mount", "w") as file:
        file.write("#!/bin/sh\nexit 1\n")
    os.chmod(file.name, 0o755)
    said = vz.ctl(*CREATE).stdout.splitlines()
    assert [line for line in said if not line.startswith("Warning: this host has no swap")] == [
        "Creating container private area (busybox)",
        "Performing postcreate actions",
        "101 / starting yes one.example.org one.example.org 0",
        f"CT configuration saved to {vz.paths.ct_conf(101)}",
        "Container private area was created",
    ]
    assert vz.status(101) == "exist unmounted down"
    os.unlink(file.name)
    vz.ctl("start", "101")
    assert vz.ctl("exec2", "101", "cat /etc/mark; ls /run/vz-script* 2>/dev/null; true").stdout == "made\n"


@pytest.mark.parametrize("layout", ["overlay", "simfs"])
def test_a_failing_script_leaves_nothing(vz: Vz, layout: str) -> None:
    path = dist(vz, "default", "echo no; exit 7\n")
    failed = vz.ctl(*CREATE, "--layout", layout, check=79)
    assert failed.stdout.splitlines()[-1] == "no"
    assert failed.stderr == (
        f"{path} failed in the container: exit code 7\nCreation of container private area failed\n"
    )
    nothing_left(vz)
    os.unlink(path)
    failed = vz.ctl(*CREATE, check=79)
    assert f"{path} cannot be run in the container: No such file" in failed.stderr
    nothing_left(vz)
    os.unlink(f"{vz.paths.dists_dir}/default")
    vz.ctl(*CREATE)


@pytest.mark.parametrize("layout", ["overlay", "simfs"])
def test_a_script_that_ends_the_container_leaves_nothing(vz: Vz, layout: str) -> None:
    path = dist(vz, "busybox.conf", "echo begun; reboot -f; sleep 4321\n")
    failed = vz.ctl(*CREATE, "--layout", layout, check=79)
    assert failed.stdout.splitlines()[-1] == "begun"
    assert f"{path} failed in the container: killed by signal 9\n" in failed.stderr
    nothing_left(vz)
    with open(path, "w") as file:
        file.write("exit 0\n")
    vz.ctl(*CREATE)


def test_interrupting_the_create_ends_the_script(vz: Vz) -> None:
    dist(vz, "busybox.conf", "echo begun; exec sleep 4321\n")
    child = vz.popen("vzctl", *CREATE)
    assert child.stdout is not None
    while child.stdout.readline() != "begun\n":
        assert child.poll() is None
    child.terminate()
    assert child.wait(TIMEOUT) == 128 + signal.SIGTERM
    nothing_left(vz)


def test_a_create_that_was_cut_off_in_the_script_is_undone(vz: Vz) -> None:
    dist(vz, "busybox.conf", "echo begun; exec sleep 4321\n")
    child = vz.popen("vzctl", *CREATE)
    assert child.stdout is not None
    while child.stdout.readline() != "begun\n":
        assert child.poll() is None
    vz.kill_both()
    assert child.wait(TIMEOUT) != 0
    vz.ctl("status", "101")
    machine.until("it is undone", lambda: not os.path.exists(vz.paths.ct_creating(101)))
    nothing_left(vz)
