"""What a new daemon makes of what the last one left: decided from record, keeper and kernel, each of them a fake."""

import asyncio
import errno
import os
from pathlib import Path
from typing import cast

import pytest

from hostd.container.record import Record
from hostd.daemon import recover
from hostd.daemon.keeper_link import ChildExit, KeeperLink, KeptChild
from hostd.daemon.registry import CLD_EXITED, CLD_KILLED, SIGHUP, SIGINT
from hostd.kernel.fd import Fd
from hostd.kernel.process import Process
from tests.harness.recovery import Machine, init, machine, record_of

__all__ = ["init", "machine"]  # fixtures

ALIVE = [
    ("", "reconnect"),
    ("chkpnt", "reconnect"),
    ("start", "release"),
    ("restore", "release"),
    ("restored", "reconnect"),
    ("stop", "release"),
    ("an operation of a later version", "release"),
    ("reboot", "start again"),
]
GONE = [
    ("", "release"),
    ("start", "release"),
    ("restore", "release"),
    ("mount", "release"),
    ("umount", "release"),
    ("stop", "release"),
    ("chkpnt", "release"),
    ("set", "release"),
    ("reboot", "start again"),
]


@pytest.mark.parametrize(("intent", "expected"), [row for row in ALIVE if row[0] != "restored"])
def test_cut_off_while_pid_1_lives(machine: Machine, init: Process, intent: str, expected: str) -> None:
    record_of(101, intent, init).save(machine.paths)
    assert machine.recover() == [(expected, 101)]
    assert machine.keeper.adopted == ["101:101"], "somebody must wait for its end"


@pytest.mark.parametrize(("intent", "expected"), GONE)
def test_cut_off_without_pid_1(machine: Machine, intent: str, expected: str) -> None:
    record = record_of(101, intent)
    record.pid, record.identity = (2**22 + 1, "gone") if intent in ("", "stop", "chkpnt", "set") else (0, "")
    record.save(machine.paths)
    assert machine.recover() == [(expected, 101)]


def test_every_operation_is_in_one_of_the_tables() -> None:
    assert {intent for intent, _ in ALIVE + GONE} >= set(recover.CUT_OFF)


def test_a_set_is_taken_back_after_the_channel_is_there(machine: Machine, init: Process) -> None:
    object.__setattr__(machine.registry.world, "load_config", lambda ctid: f"configuration of {ctid}")
    record_of(101, "set", init).save(machine.paths)
    assert machine.recover() == [("reconnect", 101), ("revert", 101)]


def test_mounted_stays_mounted(machine: Machine) -> None:
    record_of(101, "").save(machine.paths)
    assert machine.recover() == []
    assert os.path.exists(machine.paths.ct_record(101))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"ctid": 101, "boot": "an earlier one"}', '{"pid": 5}'])
def test_what_no_record_describes_is_released(machine: Machine, text: str) -> None:
    """Unreadable, or of an earlier boot."""
    Path(machine.paths.ct_record(101)).write_text(text)
    Path(f"{machine.paths.ct_record(101)}.tmp").write_text("half")
    assert machine.recover() == [("release", 101)]
    assert os.listdir(machine.paths.records_dir) == []


def test_a_cgroup_or_a_child_without_record(machine: Machine, init: Process) -> None:
    machine.cgroups = [101]
    machine.keeper.children["102:5"] = KeptChild("102:5", init.pid, init.pidfd)
    assert sorted(machine.recover()) == [("release", 101), ("release", 102)]
    assert "102:5" in machine.keeper.forgotten


def test_a_descriptor_without_record_is_dropped(machine: Machine) -> None:
    held = Fd(os.eventfd(0), "held")
    machine.keeper.held["link:101:7"] = held
    assert machine.recover() == []
    assert machine.keeper.forgotten == ["link:101:7"] and machine.keeper.held == {}


def test_the_pid_belongs_to_another_process_now(machine: Machine, init: Process) -> None:
    record = record_of(101, "", init)
    record.identity = "pidfs:1"
    record.save(machine.paths)
    assert machine.recover() == [("release", 101)]
    assert init.alive() and machine.keeper.adopted == []


@pytest.mark.parametrize(
    ("code", "status", "announced", "expected"),
    [
        (CLD_KILLED, SIGHUP, "", "aftermath reboot"),
        (CLD_KILLED, SIGINT, "", "release"),
        (CLD_KILLED, 9, "", "release"),
        (CLD_EXITED, 0, "", "release"),
        (CLD_KILLED, SIGINT, "reboot", "release"),  # who saw it knows better
        (0, 0, "reboot", "aftermath reboot"),
        (0, 0, "", "release"),
        (None, 0, "reboot", "aftermath reboot"),  # not even the keeper has seen it
        (None, 0, "", "release"),
    ],
)
def test_it_ended_while_no_daemon_was_there(
    machine: Machine, code: int | None, status: int, announced: str, expected: str
) -> None:
    record = record_of(101, "")
    record.pid, record.identity, record.announced = 2**22 + 1, "gone", announced
    record.save(machine.paths)
    if code is not None:
        machine.keeper.exits["101:101"] = ChildExit("101:101", code, status)
    assert machine.recover() == [(expected, 101)]


def test_it_ended_but_the_keeper_has_not_said_how_yet(machine: Machine, init: Process) -> None:
    """A reboot must not be taken for an end only because the wait status is still on its way."""
    record = record_of(101, "")
    record.pid, record.identity = 2**22 + 1, "gone"
    record.save(machine.paths)
    machine.keeper.children["101:101"] = KeptChild("101:101", record.pid, init.pidfd)

    async def run() -> None:
        recover.load(machine.registry)
        await recover.recover(machine.registry, cast(KeeperLink, machine.keeper))
        assert machine.calls == []
        machine.registry.child_ended(ChildExit("101:101", CLD_KILLED, SIGHUP))
        await machine.registry.settle()

    asyncio.run(run())
    assert machine.calls == [("aftermath reboot", 101)]


def test_one_that_cannot_be_recovered_does_not_harm_another(machine: Machine, init: Process) -> None:
    record_of(101, "stop", init).save(machine.paths)
    record_of(102, "", init).save(machine.paths)
    machine.broken.add(101)
    assert machine.recover() == [("release", 101), ("release", 101), ("reconnect", 102)]


def test_a_running_one_whose_recovery_fails_runs_on(machine: Machine, init: Process) -> None:
    machine.broken.add(101)
    record_of(101, "", init).save(machine.paths)
    record_of(102, "start").save(machine.paths)
    assert machine.recover() == [("reconnect", 101), ("release", 102)]
    assert init.alive() and os.path.exists(machine.paths.ct_record(101))


def test_who_cannot_be_looked_at_is_left_alone(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a descriptor to spare it is not known whether it runs: the next daemon may know."""

    def none_left(pid: int, identity: str) -> Process | None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(Process, "reopen", none_left)
    Record(ctid=101, pid=4711, identity="pidfs:1").save(machine.paths)
    assert machine.recover() == []
    assert os.path.exists(machine.paths.ct_record(101))
