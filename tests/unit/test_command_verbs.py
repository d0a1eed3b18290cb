"""The verbs of vzctl: state, messages, exit codes."""

import os

import pytest

from hostd.command.host import Facts, StartOptions, StopOptions
from hostd.config import names
from hostd.errors import BadCheckpoint, Failure, VzError
from tests.harness.fake_host import COMMAND_LINE, Fake, Said, living_process


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        (Facts(), "CTID 101 deleted unmounted down\n"),
        (Facts(exists=True), "CTID 101 exist unmounted down\n"),
        (Facts(exists=True, mounted=True), "CTID 101 exist mounted down\n"),
        (Facts(exists=True, mounted=True, running=True), "CTID 101 exist mounted running\n"),
        (Facts(exists=True, suspended=True), "CTID 101 exist unmounted down suspended\n"),
        (Facts(exists=True, mounted=True, suspended=True), "CTID 101 exist mounted down suspended\n"),
        (Facts(exists=True, mounted=True, running=True, suspended=True), "CTID 101 exist mounted running\n"),
        (Facts(suspended=True), "CTID 101 deleted unmounted down\n"),
    ],
)
def test_status(fake: Fake, facts: Facts, line: str) -> None:
    fake.host.states[101] = facts
    assert fake.ctl("status", "101") == Said(0, line, "")
    assert fake.ctl("--verbose", "status", "101") == Said(0, line, "")
    assert fake.ctl("--quiet", "status", "101") == Said(0, "", "")


def test_status_says_the_number_and_takes_no_lock(fake: Fake) -> None:
    fake.up(101, 'NAME="web"\n')
    names.assign(fake.paths, 101, "web")
    with open(fake.paths.lock(101), "w", encoding="ascii") as file:
        file.write("1\nstart\n")
    assert fake.ctl("status", "web") == Said(0, "CTID 101 exist mounted running\n", "")
    assert fake.ctl("stop", "web").code == 9


def test_locks_of_others(fake: Fake) -> None:
    fake.up(101)
    with living_process() as pid:
        with open(fake.paths.lock(101), "w", encoding="ascii") as file:
            file.write(f"{pid}\n\n")
        said = fake.ctl("stop", "101")
        assert said.code == 9
        assert said.stderr == f"Locked by: pid {pid}, cmdline {COMMAND_LINE}\nContainer already locked\n"
        assert fake.ctl("exec2", "101", "true").code == 0
        assert fake.ctl("--skiplock", "stop", "101").code == 0
    said = fake.ctl("--skipowner", "mount", "101")
    assert said.stdout == f"Removing stale lock file {fake.paths.lock(101)}\n"


def test_start(fake: Fake) -> None:
    fake.ct(101)
    said = fake.ctl("start", "101", "--wait", "--skip-f")
    assert said == Said(0, "Container start in progress...\nContainer started successfully\n", "")
    no_lock: list[str] = []
    assert fake.host.calls == [("start", 101, StartOptions(wait=True)), ("all_up", 101, no_lock)]
    assert fake.ctl("start", "101") == Said(32, "", "Container is already running\n")
    assert os.listdir(fake.paths.lock_dir) == []


@pytest.mark.parametrize("verb", ["start", "restart"])
@pytest.mark.parametrize("option", ["--skip-remount", "--skip_ve_setup", "--repair"])
def test_what_start_cannot_do_yet(fake: Fake, verb: str, option: str) -> None:
    fake.up(101)
    assert fake.ctl(verb, "101", option) == Said(20, "", f"{option} is not supported yet\n")
    assert fake.asked() == []


def test_a_restart_that_could_not_start_stops_nothing(fake: Fake) -> None:
    fake.up(101, "IP_ADDRESS=192.0.2.1\n")
    fake.up(102, "IP_ADDRESS=192.0.2.1\n")
    assert fake.ctl("restart", "101").code == 78
    assert fake.asked() == []


def test_start_is_refused(fake: Fake) -> None:
    fake.ct(101, "DISABLED=yes\n")
    assert fake.ctl("start", "101") == Said(105, "", "Container start disabled\n")
    assert fake.ctl("start", "101", "--force").code == 0
    fake.ct(102)
    os.rmdir(private := fake.paths.private_default.replace("$VEID", "102"))
    assert fake.ctl("start", "102") == Said(43, "", f"Container private area {private} does not exist\n")
    path = fake.ct(103, 'CPUUNITS="heavy"\n')
    assert fake.ctl("start", "103") == Said(85, "", f'{path}:1: CPUUNITS="heavy": must be a number\n')


def test_an_address_belongs_to_one_running_container(fake: Fake) -> None:
    fake.ct(101, "IP_ADDRESS=192.0.2.1/24\n")
    fake.up(102, 'IP_ADDRESS="192.0.2.7 192.0.2.1"\n')
    text = "IP address already in use: 192.0.2.1 (CT 102)\n"
    assert fake.ctl("start", "101") == Said(78, "", text)
    fake.host.states[102] = Facts(exists=True, running=True, live={"IP_ADDRESS": "192.0.2.7"})
    assert fake.ctl("start", "101").code == 0
    fake.ct(103, "IP_ADDRESS=192.0.2.9\n")
    fake.ct(104, "IP_ADDRESS=192.0.2.9\n")
    assert fake.ctl("start", "103").code == 0  # a container that is down owns nothing


def test_a_dump_is_restored_first(fake: Fake) -> None:
    fake.ct(101, suspended=True)
    assert fake.ctl("start", "101").code == 0
    assert fake.asked() == ["restore"]


def fail_restore(fake: Fake, error: VzError) -> None:
    async def fail(ctid: int, dumpfile: str | None, report: object) -> None:
        raise error

    fake.ct(101, suspended=True)
    fake.host.restore = fail  # type: ignore[method-assign]


def test_a_dump_that_cannot_be_restored_is_a_normal_boot(fake: Fake) -> None:
    fail_restore(fake, BadCheckpoint("Restoring failed"))
    said = fake.ctl("start", "101")
    assert (said.code, said.stderr) == (0, "") and "Restoring failed" in said.stdout
    assert fake.asked() == ["start"]


@pytest.mark.parametrize("verb", ["start", "restart"])
@pytest.mark.parametrize(("hint", "told"), [("", ""), ("run it", "run it; ")])
def test_a_dump_that_cannot_be_restored_now_is_kept(fake: Fake, verb: str, hint: str, told: str) -> None:
    """A start would drop it."""
    fail_restore(fake, Failure(17, "Restoring failed: not now", hint=hint))
    said = fake.ctl(verb, "101")
    kept = f"it stays suspended; to start it anew, move {fake.paths.dump(101)} away"
    assert (said.code, said.stderr) == (17, f"Restoring failed: not now ({told}{kept})\n")
    assert fake.asked() == []


def test_stop(fake: Fake) -> None:
    fake.up(101)
    assert fake.ctl("stop", "101", "--fast", "--skip-umount") == Said(0, "Container was stopped\n", "")
    assert fake.host.calls == [("stop", 101, StopOptions(fast=True, skip_umount=True))]
    assert fake.ctl("stop", "101") == Said(0, "", "Unable to stop: container is not running\n")


def test_restart(fake: Fake) -> None:
    fake.up(101)
    assert fake.ctl("restart", "101").stdout.startswith("Restarting container\n")
    fake.ct(101)
    fake.ctl("restart", "101")
    assert fake.asked() == ["stop", "start", "start"]
    fake.up(102, "DISABLED=yes\n")
    assert fake.ctl("restart", "102").code == 105 and fake.host.facts(102).running


def test_destroy(fake: Fake) -> None:
    fake.up(101)
    assert fake.ctl("destroy", "101") == Said(32, "Container is currently running. Stop it first.\n", "")
    fake.ct(101, mounted=True)
    assert fake.ctl("delete", "101") == Said(41, "Container is currently mounted (umount first)\n", "")
    assert fake.asked() == []
    fake.ct(101)
    assert fake.ctl("destroy", "101").code == 0 and fake.asked() == ["destroy"]


def test_mount_and_umount(fake: Fake) -> None:
    fake.ct(101)
    assert fake.ctl("umount", "101") == Said(40, "", "CT is not mounted\n")
    assert fake.ctl("mount", "101").code == 0
    fake.ct(101, mounted=True)
    assert fake.ctl("mount", "101") == Said(0, "", "Container is already mounted\n")
    assert fake.ctl("umount", "101").code == 0
    fake.up(101)
    assert fake.ctl("umount", "101").code == 32
    assert fake.asked() == ["mount", "umount"]


def test_checkpoint(fake: Fake) -> None:
    fake.ct(101)
    text = "Unable to setup checkpointing: container is not running\n"
    assert fake.ctl("chkpnt", "101") == Said(31, "", text)
    dump = fake.paths.dump(101)
    assert fake.ctl("restore", "101") == Said(17, "", f"Unable to open {dump}: No such file or directory\n")
    os.mkdir(dump)
    assert fake.ctl("resume", "101").code == 0
    assert fake.ctl("restore", "101").code == 32
    assert fake.ctl("suspend", "101", "--dumpfile", "d").code == 0
    assert fake.host.calls == [("restore", 101, None), ("chkpnt", 101, f"{fake.paths.prefix}/d")]


def test_check(fake: Fake) -> None:
    lines = fake.ctl("check").stdout.splitlines()
    assert lines == ["pidfd            yes", "idmapped mounts  no   no containers in user namespaces"]


def test_duplicate_keys_are_told(fake: Fake) -> None:
    path = fake.ct(101, "A=1\nA=2\n")
    assert fake.ctl("mount", "101") == Said(0, f"Warning: {path}:2: duplicate for A, the first is used\n", "")
    assert fake.ctl("status", "101").stdout.count("\n") == 1
