"""The host itself fails: it was rebooted under the containers, or its disks are full."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.harness import leaks, machine
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS

pytestmark = [pytest.mark.system, pytest.mark.slow]

DOWN = "exist unmounted down"
SUSPENDED = "exist unmounted down suspended"


def lose_power(vz: Vz, *, keep_run: bool) -> None:
    """All that a reboot of the host takes away goes away; with *keep_run* /run was on a disk, of all things."""
    records = vz.paths.records_dir
    names = [name for name in os.listdir(records) if name.endswith(".json")]
    vz.kill_both()
    leaks.sweep(vz.prefix, vz.paths.cgroup_root)
    for line in vz.ip("-o", "link", "show", "type", "veth").splitlines():
        vz.run("ip", "link", "del", line.split(": ")[1].partition("@")[0], check=None)
    for name in names:
        with open(f"{records}/{name}", encoding="utf-8") as file:
            record = json.load(file)
        with open(f"{records}/{name}", "w", encoding="utf-8") as file:
            json.dump({**record, "boot": "00000000-0000-0000-0000-000000000000"}, file)
    if not keep_run:
        shutil.rmtree(vz.paths.run_dir)
    with open(vz.paths.lock(101), "w", encoding="ascii") as file:
        file.write(f"{os.getpid()}\nstart\n00000000-0000-0000-0000-000000000000 pidfs:7\n")


@CHECKPOINTS
@pytest.mark.parametrize("keep_run", [False, True])
def test_after_a_reboot_of_the_host(vz: Vz, keep_run: bool) -> None:
    """What ran is down and can be started, what was suspended can be restored, locks hold nobody up."""
    vz.start(101, "--ipadd", "192.0.2.1")
    vz.start(102, "--ipadd", "192.0.2.2")
    follow = "setsid tail -f /etc/hosts >/dev/null 2>&1 </dev/null & echo $! >/run/pid"
    vz.ctl("exec2", "102", f"echo kept >/run/memory; {follow}")
    sleeper = vz.ctl("exec2", "102", "cat /run/pid").stdout.strip()
    vz.ctl("chkpnt", "102")
    vz.create(103)
    vz.ctl("mount", "103")
    lose_power(vz, keep_run=keep_run)
    for ctid, state in ((101, DOWN), (102, SUSPENDED), (103, DOWN)):
        vz.wait_status(ctid, state)
    # What takes longer than the patience of a recovery goes on in the background.
    machine.until("no records", lambda: not any(name.endswith(".json") for name in os.listdir(vz.paths.records_dir)))
    machine.until("no locks", lambda: not os.listdir(vz.paths.lock_dir))
    for ctid in (101, 102, 103):
        assert leaks.of_container(vz.prefix, vz.paths.cgroup_root, ctid) == []
    vz.ctl("start", "101")
    vz.ping("192.0.2.1")
    vz.ctl("start", "103")
    vz.ctl("restore", "102")
    assert vz.ctl("exec2", "102", f"cat /run/memory; kill -0 {sleeper} && echo alive").stdout == "kept\nalive\n"
    vz.ping("192.0.2.2")


@contextmanager
def small_disk(path: str) -> Iterator[None]:
    """*path*, with what is in it, on a file system of 256 KiB."""
    os.makedirs(path, exist_ok=True)
    beside = f"{path}.beside"
    shutil.copytree(path, beside, symlinks=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=755", "vztest", path], check=True)
    try:
        shutil.copytree(beside, path, symlinks=True, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=True)
        shutil.rmtree(beside)


@contextmanager
def filled(path: str) -> Iterator[None]:
    """No byte is left on the file system of *path* meanwhile."""
    filler = f"{path}/filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    try:
        yield
    finally:
        os.unlink(filler)


def one_line(text: str, *words: str) -> None:
    """An error message for a person, that names what is wrong."""
    assert "Traceback" not in text and len(text.strip().splitlines()) <= 2, text
    for word in words:
        assert word in text, text


def test_set_on_a_full_disk(vz: Vz) -> None:
    vz.start(101, "--ipadd", "192.0.2.1")
    with small_disk(vz.paths.conf_dir):
        before = machine.read(vz.paths.ct_conf(101))
        files = sorted(os.listdir(vz.paths.conf_dir))
        with filled(vz.paths.conf_dir):
            failed = vz.ctl("set", "101", "--ram", "200M", "--save", check=139)
            one_line(failed.stderr, "No space left on device", vz.paths.ct_conf(101))
        assert machine.read(vz.paths.ct_conf(101)) == before
        assert sorted(os.listdir(vz.paths.conf_dir)) == files
        assert vz.answers(101)
        vz.ctl("set", "101", "--ram", "200M", "--save")
        assert machine.read(vz.paths.ct_conf(101)) != before


def test_create_on_a_full_disk(vz: Vz) -> None:
    """Neither a configuration without private area nor the reverse."""
    vz.template("busybox")
    with small_disk(vz.paths.conf_dir):
        with filled(vz.paths.conf_dir):
            failed = vz.ctl("create", "101", "--ostemplate", "busybox", "--name", "web", check=139)
            one_line(failed.stderr, "No space left on device", vz.paths.ct_conf(101))
            assert vz.status(101) == "deleted unmounted down"
        assert not os.path.lexists(vz.paths.ct_conf(101)) and os.listdir(vz.paths.records_dir) == []
        private = os.path.dirname(vz.paths.private_default)
        assert not [name for name in os.listdir(private) if name.startswith("101")]
        vz.ctl("create", "101", "--ostemplate", "busybox", "--name", "web")
        vz.ctl("destroy", "101")


@CHECKPOINTS
def test_start_with_a_full_run(vz: Vz) -> None:
    vz.create(101, "--ipadd", "192.0.2.1")
    vz.start(102)
    with small_disk(vz.paths.records_dir):
        with filled(vz.paths.records_dir):
            failed = vz.ctl("start", "101", check=None)
            assert failed.code not in (0, 1)
            one_line(failed.stderr, "No space left on device", vz.paths.ct_record(101))
            assert vz.status(101) == DOWN
            assert leaks.of_container(vz.prefix, vz.paths.cgroup_root, 101) == []
            failed = vz.ctl("chkpnt", "102", check=3)
            one_line(failed.stderr, "No space left on device", vz.paths.ct_record(102))
            vz.kill_daemon()
            assert vz.answers(102), "it must run on even when nothing can be noted"
            assert "recovery failed" not in machine.read(vz.paths.log_file)
            vz.ctl("stop", "102", "--fast")
            assert vz.status(102) == DOWN
        assert os.listdir(vz.paths.records_dir) == []
        vz.ctl("start", "101")
        vz.ping("192.0.2.1")
        vz.ctl("stop", "101")


def test_a_daemon_begins_with_a_full_run(vz: Vz) -> None:
    """Who has to make room must be able to stop a container."""
    vz.create(101)
    vz.stop_hostd()
    with small_disk(vz.paths.run_dir):
        vz.ctl("start", "101")
        with filled(vz.paths.run_dir):
            machine.kill_and_wait(vz.daemon_pid)
            assert vz.ctl("exec2", "101", "echo calm").stdout == "calm\n"
            vz.ctl("stop", "101", "--fast")
        vz.stop_hostd()


def test_a_full_disk_with_the_locks(vz: Vz) -> None:
    """As guests make it that fill their sparse disks."""
    vz.create(101)
    vz.stop_hostd()
    with small_disk(vz.paths.lock_dir):
        vz.ctl("start", "101")
        with filled(vz.paths.lock_dir):
            vz.ctl("stop", "101", "--fast")
            assert f"no lock file {vz.paths.lock(101)}" in machine.read(vz.paths.log_file)
            vz.ctl("destroy", "101")
        vz.stop_hostd()
