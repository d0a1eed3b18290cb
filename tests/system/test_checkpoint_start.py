"""A checkpoint is restored, is kept, or is overtaken by a start from nothing: whatever fails, one of the three."""

import fcntl
import glob
import os
import subprocess

import pytest

from tests.harness import leaks, machine
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS

pytestmark = [pytest.mark.system, pytest.mark.slow, CHECKPOINTS]

SUSPENDED = "exist unmounted down suspended"


def damage(vz: Vz) -> None:
    """The checkpoint of CT 101 cannot be restored any more."""
    for path in glob.glob(f"{vz.paths.dump(101)}/core-*"):
        with open(path, "r+b") as file:
            file.truncate(10)


def test_a_damaged_dump_fails_clean(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("chkpnt", "101")
    damage(vz)
    said = vz.ctl("restore", "101", check=17)
    assert "Traceback" not in said.stderr and said.stderr
    assert vz.status(101) == SUSPENDED
    assert leaks.of_container(vz.prefix, vz.paths.cgroup_root, 101) == []


@pytest.mark.parametrize("failing", ["the keys", "hostd"])
def test_a_checkpoint_is_overtaken_by_a_start_whatever_fails_afterwards(vz: Vz, failing: str) -> None:
    """Else the next start would bring old memory back, over a disk that is newer."""
    vz.start(101)
    vz.ctl("exec2", "101", "ln -s /etc /root/.ssh")
    vz.ctl("chkpnt", "101")
    damage(vz)
    start = ["start", "101"]
    if failing == "hostd":
        vz.stop_hostd()
        with open(f"{vz.prefix}/fault", "w", encoding="ascii") as file:
            file.write("start.end:both")
        vz.start_hostd(VZ_FAULT=f"@{file.name}")
    else:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{vz.prefix}/key"], check=True)
        start += ["--sshkey", f"{vz.prefix}/key.pub"]
    said = vz.ctl(*start, check=None)
    assert said.code != 0 and "the container is started anew" in said.stdout
    vz.wait_status(101, "exist mounted running")
    vz.ctl("stop", "101")
    assert vz.status(101) == "exist unmounted down"


def test_a_checkpoint_is_used_once_though_hostd_is_killed(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("chkpnt", "101")
    vz.stop_hostd()
    with open(f"{vz.prefix}/fault", "w", encoding="ascii") as file:
        file.write("restore.end:both")
    vz.start_hostd(VZ_FAULT=f"@{file.name}")
    vz.ctl("restore", "101", check=None)
    vz.wait_status(101, "exist mounted running")
    vz.ctl("stop", "101")
    assert vz.status(101) == "exist unmounted down"


def test_a_start_keeps_a_checkpoint_that_cannot_be_restored_now(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("exec2", "101", "setsid tail -f /etc/hosts >/dev/null 2>&1 </dev/null &")
    vz.ctl("chkpnt", "101")
    with open(f"{vz.paths.dump(101)}/busy", "rb") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        said = vz.ctl("start", "101", check=17)
    assert "in use by another restore (it stays suspended; " in said.stderr
    assert vz.status(101) == SUSPENDED
    assert leaks.of_container(vz.prefix, vz.paths.cgroup_root, 101) == []
    vz.ctl("start", "101")
    assert "tail -f /etc/hosts" in vz.ctl("exec2", "101", "ps").stdout


def test_a_start_that_fails_before_anything_runs_keeps_the_checkpoint(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("chkpnt", "101")
    script = f"{vz.paths.conf_dir}/101.mount"
    with open(script, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\nexit 1\n")
    os.chmod(script, 0o755)
    vz.ctl("start", "101", check=79)
    assert vz.status(101) == SUSPENDED
    os.unlink(script)
    assert "Restoring completed successfully" in vz.ctl("start", "101").stdout


COUNT = """
n=$(cat /count 2>/dev/null || echo 0)
while :; do n=$((n + 1)); echo $n >/count.new && mv /count.new /count; sleep 0.05; done
"""


@pytest.mark.parametrize("point", ["revive.alive", "restore.forgotten", "reach.held", "restore.caught_up"])
def test_who_runs_again_goes_on_though_hostd_is_killed(vz: Vz, point: str) -> None:
    """Restored once more, old memory would come over a disk that is newer."""
    vz.start(101, "--ipadd", "192.0.2.1", "--hostname", "old")
    vz.ctl("exec2", "101", f"setsid sh -c '{COUNT}' counter >/dev/null 2>&1 </dev/null &")
    machine.until("it counts", lambda: counted(vz) > 0)
    vz.ctl("chkpnt", "101")
    vz.ctl("set", "101", "--ipadd", "192.0.2.5", "--ipdel", "192.0.2.1", "--hostname", "new", "--ram", "200M", "--save")
    vz.stop_hostd()
    with open(f"{vz.prefix}/fault", "w", encoding="ascii") as file:
        file.write(f"{point}:daemon")
    vz.start_hostd(VZ_FAULT=f"@{file.name}")
    vz.ctl("restore", "101", check=None)
    vz.wait_status(101, "exist mounted running")
    assert not os.path.lexists(vz.paths.dump(101))
    before = counted(vz)
    machine.until("it goes on counting", lambda: counted(vz) > before)
    assert vz.ctl("exec2", "101", "hostname").stdout == "new\n"
    vz.ping("192.0.2.5")
    assert vz.vzlist("-H", "-o", "physpages.l", "101").split() == [str((200 << 20) // 4096)]


def counted(vz: Vz) -> int:
    return int(vz.ctl("exec2", "101", "cat /count", check=None).stdout or 0)


def test_what_cannot_be_written_inside_does_not_end_it(vz: Vz) -> None:
    """A directory is where its name is to be written: a line says so, and it has come back."""
    vz.start(101, "--hostname", "old")
    vz.ctl("exec2", "101", "rm /etc/hostname && mkdir /etc/hostname /etc/hostname/x && echo kept >/run/memory")
    vz.ctl("chkpnt", "101")
    vz.ctl("set", "101", "--hostname", "new", "--save")
    said = vz.ctl("start", "101").stdout
    assert "Restoring completed successfully" in said and "Warning: files inside stay as they were saved" in said
    assert vz.ctl("exec2", "101", "cat /run/memory").stdout == "kept\n"


def test_a_checkpoint_replaces_nothing_but_a_checkpoint(vz: Vz) -> None:
    vz.start(101)
    precious = f"{vz.prefix}/precious"
    os.mkdir(precious)
    with open(f"{precious}/data", "w", encoding="ascii") as file:
        file.write("mine")
    said = vz.ctl("chkpnt", "101", "--dumpfile", precious, check=16)
    assert said.stderr.startswith(f"Checkpointing failed: {precious} is a directory with other things in it")
    assert os.listdir(precious) == ["data"] and vz.answers(101)
