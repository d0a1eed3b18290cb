"""vz, the service: a host goes down and comes up again, and its containers with it."""

import os

import pytest

from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS

pytestmark = pytest.mark.system

RUNNING, DOWN = "exist mounted running", "exist unmounted down"


def one_each(vz: Vz) -> None:
    """CT 101 starts with the host, 102 does not, 103 says nothing and ran, 104 says nothing and did not."""
    for ctid in (101, 102, 103, 104):
        vz.create(ctid)
    vz.ctl("set", "101", "--onboot", "yes", "--bootorder", "5", "--save")
    for ctid in (103, 104):
        with open(vz.paths.ct_conf(ctid), "r+", encoding="utf-8") as file:
            text = file.read().replace('ONBOOT="no"\n', "")
            file.seek(0)
            file.truncate()
            file.write(text)
    for ctid in (101, 102, 103):
        vz.ctl("start", str(ctid))
        vz.ctl("exec2", str(ctid), "touch /run/alive")


def stop_mode(vz: Vz, mode: str) -> None:
    with open(vz.paths.vz_conf, "r+", encoding="utf-8") as file:
        text = file.read()
        file.seek(0)
        file.write(text.replace('VE_STOP_MODE="suspend"', f'VE_STOP_MODE="{mode}"'))
        file.truncate()


@CHECKPOINTS
@pytest.mark.slow
def test_what_was_suspended_goes_on(vz: Vz) -> None:
    one_each(vz)
    stopped = vz.run("vz", "stop")
    assert sorted(stopped.stdout.splitlines()) == [f"Suspending CT {ctid}: done" for ctid in (101, 102, 103)]
    assert stopped.stdout.endswith("CT 101: done\n"), "it has the highest BOOTORDER"
    for ctid in (101, 102, 103):
        assert vz.status(ctid) == f"{DOWN} suspended"
    vz.stop_hostd()
    assert vz.run("vz", "status", check=3).stdout == "OpenVZ is stopped.\n"
    assert not os.path.exists(vz.paths.hostd_pid), "asking is no reason to start it"
    assert vz.run("vz", "start").stdout == "Starting CT 101: done\nStarting CT 103: done\n"
    assert vz.run("vz", "status").stdout == "OpenVZ is running...\n"
    assert [vz.status(ctid) for ctid in (101, 103)] == [RUNNING] * 2
    for ctid in (101, 103):
        vz.ctl("exec2", str(ctid), "test -e /run/alive")
    assert [vz.status(ctid) for ctid in (102, 104)] == [f"{DOWN} suspended", DOWN]


def test_what_was_stopped_is_started(vz: Vz) -> None:
    one_each(vz)
    stop_mode(vz, "stop")
    vz.ctl("mount", "104")
    said = vz.run("vz", "stop").stdout
    assert said.endswith("Stopping CT 101: done\nUnmounting CT 104: done\n")
    assert [vz.status(ctid) for ctid in (101, 102, 103, 104)] == [DOWN] * 4
    assert vz.run("vz", "start").stdout == "Starting CT 101: done\nStarting CT 103: done\n"
    for ctid in (101, 103):
        vz.ctl("exec2", str(ctid), "! test -e /run/alive")


def test_after_a_loss_of_power(vz: Vz) -> None:
    """Nobody has noted what ran."""
    one_each(vz)
    for ctid in (101, 102, 103):
        vz.ctl("stop", str(ctid), "--fast")
    assert vz.run("vz", "start").stdout == "Starting CT 101: done\n"
    vz.ctl("set", "101", "--disabled", "yes", "--save")
    stop_mode(vz, "stop")
    assert vz.run("vz", "restart").stdout == "Stopping CT 101: done\n"


def test_one_whose_file_is_gone_is_stopped_as_well(vz: Vz) -> None:
    """It is listed and within reach, though no command can say what it would be by its file."""
    vz.create(101)
    vz.ctl("start", "101")
    os.unlink(vz.paths.ct_conf(101))
    vz.stop_hostd()
    assert vz.run("vzlist", "-Ho", "ctid,status").stdout.split() == ["101", "running"]
    assert vz.ctl("exec2", "101", "echo here").stdout == "here\n"
    assert vz.ctl("destroy", "101", check=14).stderr == "Container config file does not exist\n"
    assert vz.run("vz", "stop").stdout.splitlines() == [
        "CT 101 cannot be suspended, and is stopped: Container config file does not exist",
        "Stopping CT 101: done",
    ]
    assert vz.status(101) == "deleted unmounted down"
    assert vz.run("vz", "start").stdout == "" and not os.path.exists(vz.paths.ct_conf(101))
