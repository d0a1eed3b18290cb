"""vz: which containers the service starts and stops, in which order, and what it says."""

import os

import pytest

from hostd.command import vz
from hostd.command.host import StopOptions
from hostd.container.report import Report
from hostd.errors import Exit, Failure
from tests.harness.fake_host import Fake, Said


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vz, "PAUSE", 0.0)


def done(fake: Fake) -> list[tuple[object, ...]]:
    """(operation, CTID) of what was asked for so far."""
    return [call[:2] for call in fake.host.calls]


def ran(fake: Fake, *ctids: int) -> None:
    """The service was stopped when these ran."""
    os.makedirs(fake.paths.reboot_dir)
    for ctid in ctids:
        with open(f"{fake.paths.reboot_dir}/{ctid}", "w", encoding="ascii"):
            pass


def has(fake: Fake, ctid: int, **live: str) -> None:
    fake.host.states[ctid] = fake.host.facts(ctid)._replace(live=live)


def in_globals(fake: Fake, line: str) -> None:
    """*line* before what vz.conf says already: the first definition counts."""
    with open(fake.paths.vz_conf, "r+", encoding="utf-8") as file:
        text = file.read()
        file.seek(0)
        file.write(f"{line}\n{text}")


def test_defaults_of_all_containers(fake: Fake) -> None:
    """ONBOOT and BOOTORDER may stand in vz.conf; DISABLED there would be for none: VIRTUOZZO is."""
    for line in ('ONBOOT="yes"', 'BOOTORDER="5"', 'DISABLED="yes"'):
        in_globals(fake, line)
    fake.ct(101)
    fake.ct(102, 'ONBOOT="no"\nBOOTORDER="9"\n')
    fake.ct(103, 'BOOTORDER="9"\n')
    fake.ct(104, 'BOOTORDER="1"\n')
    in_order = "".join(f"Starting CT {ctid}: done\n" for ctid in (103, 101, 104))
    assert fake.service("start") == Said(0, in_order, "")
    listed = fake.vzlist("-aHo", "ctid,onboot,bootorder,disabled").stdout.split("\n")
    assert listed[0].split() == ["101", "yes", "5", "no"], "vzlist has it the same way"


def test_who_is_started(fake: Fake) -> None:
    fake.ct(101, 'ONBOOT="yes"\n')
    fake.ct(102, 'ONBOOT="no"\n')
    fake.ct(103)
    fake.ct(104, 'ONBOOT="YES"\nDISABLED="yes"\n')
    fake.up(105, 'ONBOOT="yes"\n')
    fake.ct(106, 'ONBOOT="no"\n')
    fake.ct(107)
    ran(fake, 106, 107, 999)
    assert fake.service("start") == Said(0, "Starting CT 101: done\nStarting CT 107: done\n", "")
    assert {ctid for ctid, facts in fake.host.states.items() if facts.running} == {101, 105, 107}
    assert os.listdir(fake.paths.reboot_dir) == []


def test_the_highest_bootorder_is_first_and_none_is_last(fake: Fake) -> None:
    orders = {101: "", 102: "BOOTORDER=7", 103: "BOOTORDER=0", 104: "BOOTORDER=7", 105: "BOOTORDER=30"}
    for ctid, order in orders.items():
        fake.ct(ctid, f"ONBOOT=yes\n{order}\n")
    fake.service("start")
    assert [call[1] for call in done(fake)] == [105, 102, 104, 103, 101]
    fake.host.calls.clear()
    fake.service("stop")
    assert [call[1] for call in done(fake)] == [101, 103, 102, 104, 105]


def test_one_at_a_time(fake: Fake) -> None:
    in_globals(fake, "VE_PARALLEL=1")
    for ctid in (103, 101, 102):
        fake.ct(ctid, "ONBOOT=yes\n")
    fake.service("start")
    assert sorted(done(fake)) == [("start", 101), ("start", 102), ("start", 103)]


def test_one_that_cannot_be_started_holds_up_none(fake: Fake) -> None:
    fake.ct(101, "ONBOOT=yes\nBOOTORDER=9\n")
    os.rmdir(fake.paths.private_default.replace("$VEID", "101"))
    fake.ct(102, "ONBOOT=yes\n")
    fake.ct(103, "this is no configuration\n")
    said = fake.service("start")
    assert said.code == 1 and said.stdout == "Starting CT 102: done\n"
    missing, broken = said.stderr.splitlines()
    assert missing.startswith("Starting CT 101: Container private area") and missing.endswith("does not exist")
    assert broken.startswith("Starting CT 103: ") and fake.paths.ct_conf(103) in broken


def test_the_service_can_be_switched_off(fake: Fake) -> None:
    in_globals(fake, "VIRTUOZZO=no")
    fake.ct(101, "ONBOOT=yes\n")
    assert fake.service("start") == Said(0, "nothing is started: VIRTUOZZO is not yes in vz.conf\n", "")
    assert done(fake) == []


def test_a_stop_suspends_and_the_next_start_resumes(fake: Fake) -> None:
    fake.up(101)
    fake.ct(102)
    assert fake.service("stop") == Said(0, "Suspending CT 101: done\n", "")
    assert os.listdir(fake.paths.reboot_dir) == ["101"]
    assert fake.service("start") == Said(0, "Starting CT 101: done\n", "")
    assert done(fake) == [("chkpnt", 101), ("restore", 101)]


def test_a_stop_stops_and_unmounts(fake: Fake) -> None:
    in_globals(fake, "VE_STOP_MODE=stop")
    fake.up(101, "CPULIMIT=10\n")
    has(fake, 101, CPULIMIT="10")
    fake.ct(102, mounted=True)
    assert fake.service("stop") == Said(0, "Stopping CT 101: done\nUnmounting CT 102: done\n", "")
    assert done(fake) == [("apply", 101), ("stop", 101), ("umount", 102)]
    assert fake.host.changes[0].after.cpulimit == 0 and "CPULIMIT=10" in fake.conf(101)


def test_what_slows_a_stop_is_lifted_whatever_the_file_says(fake: Fake) -> None:
    """By what runs: one has its limits by `set` alone, one lost them so, and of one the file is damaged."""
    in_globals(fake, "VE_STOP_MODE=stop")
    fake.up(101, "BOOTORDER=1\n")
    has(fake, 101, CPULIMIT="10", IOLIMIT="1048576", IOPSLIMIT="50")
    fake.up(102, "BOOTORDER=2\nCPULIMIT=10\nIOLIMIT=1048576\n")
    has(fake, 102, CPULIMIT="0", IOLIMIT="")
    fake.up(103, "this is no configuration\n")
    has(fake, 103, CPULIMIT="10")
    fake.up(104, "BOOTORDER=3\n")
    said = fake.service("stop")
    assert said == Said(0, "".join(f"Stopping CT {ctid}: done\n" for ctid in (103, 101, 102, 104)), "")
    assert done(fake) == [("stop", 103), ("apply", 101), ("stop", 101), ("stop", 102), ("stop", 104)]
    (change,) = fake.host.changes
    assert (change.after.cpulimit, change.after.iolimit, change.after.iopslimit) == (0, 0, 0)


def test_what_runs_without_a_file_is_stopped_and_not_started(fake: Fake) -> None:
    os.unlink(fake.up(101))
    os.unlink(fake.ct(102, mounted=True))
    said = fake.service("stop")
    assert (said.code, said.stderr) == (0, "")
    assert said.stdout.splitlines()[1:] == ["Stopping CT 101: done", "Unmounting CT 102: done"]
    assert "config file does not exist" in said.stdout.splitlines()[0]
    os.unlink(fake.up(103))
    assert fake.service("start").code == 0
    assert done(fake) == [("stop", 101), ("umount", 102)]


def test_what_cannot_be_suspended_is_stopped(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise Failure(Exit.CHKPNT, "Checkpointing failed")

    fake.up(101)
    monkeypatch.setattr(fake.host, "chkpnt", refuse)
    said = fake.service("stop")
    assert said == Said(
        0, "CT 101 cannot be suspended, and is stopped: Checkpointing failed\nStopping CT 101: done\n", ""
    )


def test_what_does_not_stop_is_tried_again_and_then_told(fake: Fake) -> None:
    in_globals(fake, "VE_STOP_MODE=stop")
    fake.up(101)
    fake.host.failure = Failure(Exit.LOCKED, "CT 101 is busy")
    assert fake.service("stop") == Said(1, "", "Stopping CT 101: CT 101 is busy\n" * vz.ROUNDS)


def test_a_script_inside_that_fails_does_not_hold_the_host_up(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = fake.host.stop

    async def guarded(ctid: int, options: StopOptions, report: Report) -> None:
        if not options.fast:
            raise Failure(Exit.ACTIONSCRIPT, "101.stop failed")
        await stop(ctid, options, report)

    in_globals(fake, "VE_STOP_MODE=stop")
    fake.up(101)
    monkeypatch.setattr(fake.host, "stop", guarded)
    assert fake.service("stop") == Said(0, "Stopping CT 101: done\n", "CT 101 is killed: 101.stop failed\n")
    assert done(fake) == [("stop", 101)]


def test_restart_and_status(fake: Fake) -> None:
    fake.up(101)
    assert fake.service("restart") == Said(0, "Suspending CT 101: done\nStarting CT 101: done\n", "")
    assert fake.service("status") == Said(0, "OpenVZ is running...\n", "")
    assert fake.service("reload") == Said(2, vz.HELP, "")
