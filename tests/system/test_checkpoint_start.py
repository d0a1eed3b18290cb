"""A checkpoint is restored, is kept, or is overtaken by a start from nothing: whatever fails, one of the three."""

import fcntl
import glob
import os
import subprocess

import pytest

from tests.harness import leaks
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
