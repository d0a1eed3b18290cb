"""What a new daemon makes of checkpoints that the last one was at work on."""

import errno
import os
from pathlib import Path

import pytest

from hostd.cgroup import stats
from hostd.checkpoint import images_dir
from hostd.container.record import load
from hostd.kernel.clocks import Clocks
from hostd.kernel.process import Process
from tests.harness.recovery import Machine, init, machine, record_of

__all__ = ["init", "machine"]  # fixtures


def used(machine: Machine, pid: int) -> str:
    """The checkpoint of CT 101, of which CRIU has made PID 1 with the number *pid*."""
    dump = machine.paths.dump(101)
    os.makedirs(dump)
    for name, text in ((images_dir.SAVED, "{}"), (images_dir.RESTORED, ""), (images_dir.PID, str(pid))):
        Path(dump, name).write_text(text)
    return dump


@pytest.mark.parametrize("noted", [True, False])
def test_a_restore_whose_tasks_run_is_taken_over(machine: Machine, init: Process, noted: bool) -> None:
    """And its checkpoint is none any more: the disk goes on."""
    object.__setattr__(machine.registry.world, "load_config", lambda ctid: f"configuration of {ctid}")
    dump = used(machine, init.pid)
    record = record_of(101, "restored", init) if noted else record_of(101, "restore")
    record.dump = "" if noted else dump
    record.save(machine.paths)
    assert machine.recover() == [("reconnect", 101), ("revert", 101)]
    assert init.alive() and os.listdir(machine.paths.dump_dir) == []


@pytest.mark.parametrize(("noted", "known"), [((0.0, 0), (-7.0, 15)), ((-3.0, 9), (-3.0, 9))])
def test_what_a_restore_has_to_note_is_noted(
    machine: Machine, init: Process, monkeypatch: pytest.MonkeyPatch, noted: tuple[float, int], known: tuple[float, int]
) -> None:
    """Its uptime by the clocks that CRIU gave it, and the processes that were CRIU's; not again, when others may be."""
    object.__setattr__(machine.registry.world, "load_config", lambda ctid: f"configuration of {ctid}")
    monkeypatch.setattr(Clocks, "of", lambda pid: Clocks(-5 * 10**9, -7 * 10**9))
    monkeypatch.setattr(stats, "peak_of_processes", lambda cgroup: 15)
    record = record_of(101, "restored", init)
    record.started, record.peak = noted
    record.save(machine.paths)
    machine.recover()
    found = load(machine.paths, 101)
    assert found is not None and (found.started, found.peak) == known


def test_one_that_runs_is_not_ended_by_a_checkpoint_that_cannot_be_removed(
    machine: Machine, init: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    monkeypatch.setattr(images_dir, "discard", fails)
    dump = used(machine, init.pid)
    record = record_of(101, "restore")
    record.dump = dump
    record.save(machine.paths)
    assert machine.recover() == [("reconnect", 101)]
    assert init.alive()


def test_a_restored_one_that_has_ended_meanwhile_is_not_restored_again(machine: Machine) -> None:
    dump = used(machine, 2**22 + 1)
    record = record_of(101, "restore")
    record.dump = dump
    record.save(machine.paths)
    assert machine.recover() == [("release", 101)]
    assert os.listdir(machine.paths.dump_dir) == []


def test_what_is_left_of_checkpoints_goes(machine: Machine) -> None:
    """What a loss of power has left, but nothing of a container that is suspended."""
    for name in ("Dump.101", "Dump.101.old", "Dump.102.old", "Dump.103.part", "Dump.104.gone", "mine.part"):
        os.makedirs(f"{machine.paths.dump_dir}/{name}")
        Path(machine.paths.dump_dir, name, images_dir.SAVED).write_text("{}")
    os.makedirs(f"{machine.paths.dump_dir}/Dump.105")
    for name in (images_dir.SAVED, images_dir.RESTORED):
        Path(machine.paths.dump_dir, "Dump.105", name).write_text("{}")
    machine.recover()
    assert sorted(os.listdir(machine.paths.dump_dir)) == ["Dump.101", "Dump.102.old", "mine.part"]
