"""VE_ROOT of a running container as the host's administrator uses it: mounts, copies; and what he cannot do."""

import os
import subprocess

import pytest

from tests.harness import leaks, machine
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS

pytestmark = pytest.mark.system
LAYOUTS = pytest.mark.parametrize("layout", ["overlay", "simfs"])


@pytest.fixture
def shared(vz: Vz) -> str:
    """A directory of the host with a file in it."""
    path = f"{vz.prefix}/shared"
    os.mkdir(path)
    with open(f"{path}/greeting", "w") as file:
        file.write("from the host\n")
    return path


def root(vz: Vz) -> str:
    return f"{vz.prefix}/var/lib/vz/root/101"


def bind(source: str, target: str) -> None:
    subprocess.run(["mount", "--bind", source, target], check=True)


def seen(vz: Vz) -> str:
    return vz.ctl("exec2", "101", "cat /srv/greeting", check=None).stdout


@LAYOUTS
def test_a_mount_of_the_host_appears_inside_and_goes_again(vz: Vz, shared: str, layout: str) -> None:
    vz.start(101, "--layout", layout)
    vz.ctl("exec2", "101", "mkdir -p /srv")
    bind(shared, f"{root(vz)}/srv")
    assert seen(vz) == "from the host\n"
    subprocess.run(["umount", f"{root(vz)}/srv"], check=True)
    assert seen(vz) == ""


@LAYOUTS
def test_a_mount_of_the_container_stays_inside(vz: Vz, layout: str) -> None:
    vz.start(101, "--layout", layout)
    before = machine.mounts_below(vz.prefix)
    vz.ctl("exec2", "101", "mkdir -p /srv; mount -t tmpfs t /srv; mount --make-rshared /; mount -t tmpfs t /tmp")
    assert machine.mounts_below(vz.prefix) == before


@CHECKPOINTS
@LAYOUTS
def test_it_is_still_so_after_a_restore(vz: Vz, shared: str, layout: str) -> None:
    vz.start(101, "--layout", layout)
    vz.ctl("exec2", "101", "mkdir -p /srv")
    for _ in range(2):
        vz.ctl("chkpnt", "101")
        vz.ctl("restore", "101")
        bind(shared, f"{root(vz)}/srv")
        assert seen(vz) == "from the host\n"
        subprocess.run(["umount", f"{root(vz)}/srv"], check=True)


def test_a_checkpoint_says_which_mount_of_the_host_is_in_its_way(vz: Vz, shared: str) -> None:
    vz.start(101)
    vz.ctl("exec2", "101", "mkdir -p /srv")
    bind(shared, f"{root(vz)}/srv")
    refused = vz.ctl("chkpnt", "101", check=16)
    assert "is mounted on /srv, which cannot be saved" in refused.stderr


def test_a_reboot_keeps_it_and_a_stop_takes_it_away(vz: Vz, shared: str) -> None:
    """From then on its files have the container's owners, as with mounts of an action script."""
    vz.start(101)
    vz.ctl("exec2", "101", "mkdir -p /srv")
    bind(shared, f"{root(vz)}/srv")
    assert vz.ctl("exec2", "101", "stat -c %u /srv/greeting").stdout == "65534\n"
    clock = vz.uptime_clock(101)
    vz.ctl("exec", "101", "reboot", check=None)
    vz.wait_reboot(101, clock)
    assert seen(vz) == "from the host\n"
    assert vz.ctl("exec2", "101", "stat -c %u /srv/greeting").stdout == "0\n"
    vz.ctl("stop", "101")
    machine.until("nothing is held", lambda: not leaks.of_container(vz.prefix, vz.paths.cgroup_root, 101))
    assert os.listdir(shared) == ["greeting"]


def test_a_guest_in_the_way_of_an_unmount(vz: Vz, shared: str) -> None:
    """What it keeps busy the host takes away lazily, and a stop at once."""
    vz.start(101)
    vz.ctl("exec2", "101", "mkdir -p /srv")
    bind(shared, f"{root(vz)}/srv")
    vz.ctl("exec2", "101", "cd /srv && (sleep 1000 >/dev/null 2>&1 </dev/null &)")
    assert subprocess.run(["umount", f"{root(vz)}/srv"], stderr=subprocess.DEVNULL).returncode != 0
    vz.ctl("stop", "101")
    machine.until("nothing is held", lambda: not leaks.of_container(vz.prefix, vz.paths.cgroup_root, 101))


def test_the_host_copies_into_a_running_simfs(vz: Vz, shared: str) -> None:
    """VE_ROOT has the ids of the disk, so what the host's root makes belongs to the container's."""
    vz.start(101, "--layout", "simfs")
    subprocess.run(["cp", "-r", shared, f"{root(vz)}/tmp/"], check=True)
    assert vz.ctl("exec2", "101", "stat -c '%u %g' /tmp/shared /tmp/shared/greeting").stdout == "0 0\n0 0\n"
    vz.ctl("exec2", "101", "echo from inside >/tmp/shared/answer")
    assert machine.read(f"{root(vz)}/tmp/shared/answer") == "from inside\n"
    assert os.stat(f"{root(vz)}/tmp/shared/answer").st_uid == 0


def test_the_host_cannot_make_files_in_a_running_overlay(vz: Vz, shared: str) -> None:
    """Its root has no number there.  It says so at once, leaves nothing, and there are other ways."""
    vz.start(101)
    done = subprocess.run(["cp", f"{shared}/greeting", f"{root(vz)}/tmp/"], stderr=subprocess.PIPE, text=True)
    assert done.returncode != 0 and "Value too large" in done.stderr
    assert vz.ctl("exec2", "101", "ls /tmp").stdout == ""
    with open(f"{root(vz)}/etc/profile", "a") as existing:
        existing.write("# by the host\n")
    assert "# by the host" in vz.ctl("exec2", "101", "cat /etc/profile").stdout
    vz.ctl("exec2", "101", "cat >/tmp/greeting", input=machine.read(f"{shared}/greeting"))
    assert machine.read(f"{root(vz)}/tmp/greeting") == "from the host\n"
    vz.ctl("stop", "101")
    vz.ctl("mount", "101")
    subprocess.run(["cp", f"{shared}/greeting", f"{root(vz)}/root/"], check=True)
    vz.ctl("start", "101")
    assert vz.ctl("exec2", "101", "stat -c %u /root/greeting").stdout == "0\n"
