"""Configuration files with bad values in them, and files that are no configuration at all."""

import os

import pytest

from tests.harness import machine
from tests.harness.complaint import one_line
from tests.harness.installation import Vz

pytestmark = pytest.mark.system


def test_configuration_with_garbage(vz: Vz) -> None:
    vz.create(101)
    path = vz.paths.ct_conf(101)
    good = machine.read(path)
    for line, word in (
        ('IP_ADDRESS="300.1.2.3"', "IP_ADDRESS"),
        ('CPUUNITS="heavy"', "CPUUNITS"),
        ('DISKSPACE="much"', "DISKSPACE"),
    ):
        key = line.partition("=")[0]
        kept = [old for old in good.splitlines() if not old.startswith(key)]
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join([*kept, line]) + "\n")
        result = vz.ctl("start", "101", check=85)
        one_line(result, word, f"{path}:{len(kept) + 1}:")
        assert vz.status(101) == "exist unmounted down"
    with open(path, "wb") as binary:
        binary.write(good.encode() + b"\xff\xfe\0garbage\n= = =\n")
    result = vz.ctl("start", "101", check=85)
    where = f"line {len(good.splitlines()) + 1} is binary data"
    line = f"{path} is not a configuration: {where} (put a good file in its place)\n"
    assert (result.stdout, result.stderr) == ("", line)
    assert "Traceback" not in machine.read(vz.paths.hostd_log)
    assert vz.status(101) == "exist unmounted down"


def test_a_configuration_lost_while_its_container_runs(vz: Vz) -> None:
    """It stays within reach, also of the next daemon; its own reboot finds nothing to start from."""
    vz.start(101)
    vz.create(102)
    path = vz.paths.ct_conf(101)
    good = machine.read(path)
    with open(path, "wb") as file:
        file.write(os.urandom(1000) + b"\0")
    assert vz.ctl("exec2", "101", "echo here").stdout == "here\n"
    listed = vz.run("vzlist", "-aHo", "ctid,status")
    assert listed.stdout.split() == ["101", "running", "102", "stopped"]
    assert listed.stderr.startswith(f"Warning: {path} is not a configuration: line ")
    vz.kill_daemon()
    assert vz.status(101) == "exist mounted running"
    assert vz.ctl("exec2", "101", "echo here").stdout == "here\n"
    vz.ctl("stop", "101")
    assert vz.status(101) == "exist unmounted down"
    one_line(vz.ctl("destroy", "101", check=85), path)
    assert os.path.exists(f"{vz.prefix}/var/lib/vz/private/101/disk.img")
    with open(path, "w", encoding="utf-8") as file:
        file.write(good)
    vz.ctl("start", "101")


def test_a_global_configuration_that_is_none(vz: Vz) -> None:
    """Of the daemon that reads it first, too: it serves, and says what is wrong."""
    vz.start(101)
    good = machine.read(vz.paths.vz_conf)
    with open(vz.paths.vz_conf, "wb") as file:
        file.write(b"\0" * 4096)
    vz.kill_daemon()
    assert vz.status(101) == "exist mounted running"
    for result in (vz.ctl("stop", "101", check=85), vz.run("vzlist", check=1)):
        assert result.stderr.startswith(f"{vz.paths.vz_conf} is not a configuration: line 1 is binary data")
        assert len(result.stderr.splitlines()) == 1 and result.stdout == ""
    with open(vz.paths.vz_conf, "w", encoding="utf-8") as text:
        text.write(good)
    assert vz.answers(101)


def test_no_global_configuration(vz: Vz) -> None:
    vz.create(101)
    os.unlink(vz.paths.vz_conf)
    one_line(vz.ctl("start", "101", check=10), "vz.conf")


def test_a_container_with_a_bad_value_can_be_destroyed(vz: Vz) -> None:
    vz.create(101)
    with open(vz.paths.ct_conf(101), "a", encoding="ascii") as file:
        file.write('IP_ADDRESS="nonsense"\nCPUUNITS="many"\n')
    assert "IP_ADDRESS" in vz.ctl("start", "101", check=85).stderr
    vz.ctl("destroy", "101")
    assert vz.status(101) == "deleted unmounted down"
    assert not os.path.exists(f"{vz.prefix}/var/lib/vz/private/101")
