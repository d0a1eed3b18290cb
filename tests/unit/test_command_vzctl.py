"""vzctl: what is refused and how, the verbs, their messages and exit codes."""

import asyncio
import os

import pytest

from hostd.command import edge, usage
from hostd.command.host import Ended, Facts, StartOptions, StopOptions
from hostd.command.table import BY_NAME
from hostd.config import names
from hostd.config.veconf import VeConf
from hostd.errors import Failure, VzError, doing
from tests.harness.fake_host import COMMAND_LINE, Broken, Fake, Said, living_process


@pytest.fixture
def fake(tmp_path: os.PathLike[str]) -> Fake:
    return Fake(str(tmp_path))


# What is refused


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        (["frobnicate", "101"], 20, "Bad command: frobnicate\n"),
        (["--frob", "start", "101"], 20, "Bad command: --frob\n"),
        (["-q", "start", "101"], 20, "Bad command: -q\n"),
        (["start"], 21, "CT ID missing\n"),
        (["start", "nobody"], 21, "Bad CT ID nobody\n"),
        (["start", "2147483645"], 21, "Bad CT ID 2147483645\n"),
        (["start", "--wait", "101"], 21, "Bad CT ID --wait\n"),
        (["start", "0"], 21, "Only set actions are allowed for CT0\n"),
        (["status", "0"], 21, "Only set actions are allowed for CT0\n"),
        (["start", "9"], 14, "Container config file does not exist\n"),
        (["exec", "9", "true"], 14, "Container config file does not exist\n"),
        (["status", "101", "x", "y"], 20, "Invalid options: x y \n"),
        (["mount", "101", "x"], 20, "Invalid options: x \n"),
        (["stop", "101", "x"], 20, "Invalid extra arguments: x \n"),
        (["console", "101", "2", "x"], 20, "Invalid options: x \n"),
        (["set", "101", "--cpus"], 21, "vzctl: option '--cpus' requires an argument\n"),
        (["set", "101", "--frob", "1"], 21, "vzctl: unrecognized option '--frob'\n"),
        (["create", "102", "--frob"], 21, "vzctl: unrecognized option '--frob'\n"),
        (["start", "101", "--frob"], 20, "vzctl: unrecognized option '--frob'\n"),
        (["chkpnt", "101", "--frob"], 20, "vzctl: unrecognized option '--frob'\n"),
        (["exec", "101"], 20, "No command line given for exec\n"),
        (["exec2", "101"], 20, "No command line given for exec2\n"),
        (["enter", "101", "x"], 20, "Invalid options: x \n"),
        (["enter", "101", "--exec"], 20, "vzctl: option '--exec' requires an argument\n"),
        (["runscript", "101"], 20, "Script not specified\n"),
        (["runscript", "101", "none.sh"], 11, "Script not found: {prefix}/none.sh\n"),
        (["console", "101", "x"], 21, "Bad tty number: x (must be a number)\n"),
        (["snapshot", "101"], 156, "snapshot is not supported yet\n"),
        (["compact", "101"], 166, "compact is not supported yet\n"),
        (["quotaon", "101"], 60, "quotaon is not supported yet\n"),
        (["chkpnt", "101", "--suspend"], 16, "--suspend is not supported yet\n"),
        (["restore", "101", "--undump"], 17, "--undump is not supported yet\n"),
        (
            ["create", "102", "--layout", "ploop"],
            21,
            "--layout ploop is not supported yet (use overlay or simfs)\n",
        ),
        (["create", "102", "--local_uid", "0"], 21, "--local_uid is not supported yet\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_refused(fake: Fake, argv: list[str], code: int, text: str) -> None:
    fake.ct(101)
    said = fake.ctl(*argv)
    assert said == Said(code, "", text.format(prefix=fake.paths.prefix))
    assert fake.asked() == [] and os.listdir(fake.paths.lock_dir) == []


def test_no_arguments_is_a_usage_error(fake: Fake) -> None:
    said = fake.ctl()
    assert said.code == 20 and "Usage: vzctl" in said.stderr and said.stdout == ""


def test_only_root(fake: Fake) -> None:
    fake.ct(101)
    type(fake.session).uid = 1000
    try:
        assert fake.ctl("status", "101") == Said(12, "", "Only root can use vzctl\n")
        assert fake.vzlist() == Said(1, "", "Only root can use vzlist\n")
    finally:
        type(fake.session).uid = 0


def test_vz_conf_unreadable(fake: Fake) -> None:
    fake.ct(101)
    os.unlink(fake.paths.vz_conf)
    said = fake.ctl("start", "101")
    assert said == Said(10, "", f"Unable to open {fake.paths.vz_conf}: No such file or directory\n")
    assert fake.ctl("status", "101").code == 0


def test_version_and_help(fake: Fake) -> None:
    assert fake.ctl("--version") == Said(0, "vzctl version 4.11.0\n", "")
    said = fake.ctl("--verbose", "--help")
    assert said.code == 0 and said.stdout.splitlines()[0] == "vzctl version 4.11.0"
    for word in ("vzctl start", "--diskspace", "--reset_ub", "-k, --kmemsize"):
        assert word in said.stdout
    assert "--netif_add" not in said.stdout


# Verbs


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
    assert said == Said(0, "Container start in progress...\n", "")
    assert fake.host.calls == [("start", 101, StartOptions(wait=True, skip_fsck=True))]
    assert fake.ctl("start", "101") == Said(32, "", "Container is already running\n")
    assert os.listdir(fake.paths.lock_dir) == []


def test_start_is_refused(fake: Fake) -> None:
    fake.ct(101, "DISABLED=yes\n")
    assert fake.ctl("start", "101") == Said(105, "", "Container start disabled\n")
    assert fake.ctl("start", "101", "--force").code == 0
    fake.ct(102)
    os.rmdir(private := fake.paths.private_default.replace("$VEID", "102"))
    assert fake.ctl("start", "102") == Said(43, "", f"Container private area {private} does not exist\n")
    path = fake.ct(103, 'CPUUNITS="heavy"\n')
    assert fake.ctl("start", "103") == Said(85, "", f'{path}: CPUUNITS="heavy": must be a number\n')


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


def test_a_dump_that_cannot_be_restored_is_a_normal_boot(fake: Fake) -> None:
    fake.ct(101, suspended=True)
    host = fake.host

    async def refuse(ctid: int, dumpfile: str | None, report: object) -> None:
        raise Failure(17, "Restoring failed")

    host.restore = refuse  # type: ignore[method-assign]
    said = fake.ctl("start", "101")
    assert (said.code, said.stderr) == (0, "") and "Restoring failed" in said.stdout
    assert fake.asked() == ["start"]


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


@pytest.mark.parametrize(
    ("verb", "ended", "code"),
    [
        ("exec", Ended(0), 0),
        ("exec", Ended(3), 8),
        ("exec", Ended(0, 9), 8),
        ("exec2", Ended(3), 3),
        ("exec2", Ended(0, 9), 137),
        ("exec3", Ended(8), 8),
    ],
)
def test_exit_codes_of_commands(fake: Fake, verb: str, ended: Ended, code: int) -> None:
    fake.up(101)
    fake.host.ended = ended
    assert fake.ctl(verb, "101", "x") == Said(code, "", "")


def test_exec_of_a_container_that_is_down(fake: Fake) -> None:
    fake.ct(101)
    assert fake.ctl("exec", "101", "true") == Said(8, "", "Container is not running\n")
    assert fake.ctl("exec2", "101", "true") == Said(31, "", "Container is not running\n")
    assert fake.ctl("enter", "101") == Said(31, "", "Container is not running\n")


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (["exec", "101", "ls", "-l", "--save", "$HOME"], ("-c", "ls -l --save $HOME")),
        (["exec2", "101", "echo", "", "x"], ("-c", "echo '' x")),
        (["exec2", "101", "--", "x"], ("-c", "-- x")),
        (["exec2", "101", "-"], ("-s",)),
    ],
)
def test_what_is_executed(fake: Fake, argv: list[str], command: tuple[str, ...]) -> None:
    fake.up(101)
    fake.ctl(*argv)
    environment = {
        "HOME": "/",
        "TERM": "linux",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }
    assert fake.host.calls == [("exec", 101, [("/bin/bash", *command), ("/bin/sh", *command)], environment)]


def test_exec3_has_no_shell(fake: Fake) -> None:
    fake.up(101)
    fake.ctl("exec3", "101", "prog", "a b", "")
    assert fake.host.calls[0][2] == [("prog", "a b", "")]


def test_a_program_that_is_not_there(fake: Fake) -> None:
    fake.up(101)
    fake.host.failure = FileNotFoundError(2, "No such file or directory")
    text = "Unable to execute prog: No such file or directory\n"
    assert fake.ctl("exec3", "101", "prog") == Said(8, "", text)


def test_enter(fake: Fake) -> None:
    fake.up(101)
    fake.host.ended = Ended(7)
    said = fake.ctl("enter", "101", "--exec", "ls", "--exec", "x")
    assert said == Said(7, "entered into CT 101\nexited from CT 101\n", "")
    assert fake.host.calls == [("enter", 101, "ls --exec x")]


def test_console(fake: Fake) -> None:
    fake.ct(101)
    said = fake.ctl("console", "101", "2")
    assert said == Said(0, "", "Attached to CT 101 (ESC . to detach)\nDetached from CT 101\n")
    fake.ctl("console", "101")
    assert fake.host.calls == [("console", 101, 2), ("console", 101, 1)]


def test_runscript(fake: Fake) -> None:
    fake.ct(101)
    with open(f"{fake.paths.prefix}/script.sh", "w", encoding="ascii") as file:
        file.write("echo hi\n")
    fake.host.ended = Ended(5)
    assert fake.ctl("runscript", "101", "script.sh") == Said(5, "", "")
    assert fake.host.calls == [("runscript", 101, b"echo hi\n")]


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


# create


def test_create(fake: Fake) -> None:
    said = fake.ctl("create", "101", "--ipadd", "192.0.2.1/24", "--hostname", "web", "--name", "my web",
                    "--ostem", "debian-13", "--diskspace", "3G")  # fmt: skip
    assert said == Said(0, "Container private area was created\n", "")
    sample = VeConf.load(fake.paths.sample_conf("basic")).text()
    expected = sample.replace('DISKSPACE="10485760:10485760"', 'DISKSPACE="3145728:3145728"') + (
        'IP_ADDRESS="192.0.2.1/24"\nHOSTNAME="web"\nNAME="my web"\n'
        f'VE_ROOT="{fake.paths.root_default}"\nVE_PRIVATE="{fake.paths.private_default}"\n'
        'VE_LAYOUT="overlay"\nOSTEMPLATE="debian-13"\nORIGIN_SAMPLE="basic"\n'
    )
    assert fake.conf(101) == expected
    assert "$VEID" in fake.paths.root_default
    assert fake.ctl("status", "my web").stdout == "CTID 101 exist unmounted down\n"


def test_create_over_something(fake: Fake) -> None:
    private = fake.paths.private_default.replace("$VEID", "101")
    os.makedirs(f"{private}/x")
    assert fake.ctl("create", "101") == Said(44, "", f"Private area already exists in {private}\n")
    os.rmdir(f"{private}/x")
    path = fake.ct(101, '# mine\nCPUUNITS="77"\n')
    assert fake.ctl("create", "101", "--config", "basic").code == 82
    os.rmdir(private)
    said = fake.ctl("create", "101")
    assert said.code == 0 and said.stdout.count("Warning: ") == 2 and path in said.stdout
    assert fake.conf(101).startswith('# mine\nCPUUNITS="77"\n') and "ORIGIN_SAMPLE" not in fake.conf(101)


def test_create_refuses(fake: Fake) -> None:
    text = f"Sample config file not found: {fake.paths.sample_conf('none')}\n"
    assert fake.ctl("create", "101", "--config", "none") == Said(82, "", text)
    assert fake.ctl("create", "101", "--config", "../x").code == 82
    assert fake.ctl("create", "101", "--ipadd", "x").code == 21
    assert fake.ctl("create", "101", "--layout", "zfs").code == 21
    with open(fake.paths.vz_conf, "w", encoding="ascii") as file:
        file.write("CONFIGFILE=basic\n")
    assert fake.ctl("create", "101").code == 29
    assert fake.asked() == []


def test_create_without_a_sample(fake: Fake) -> None:
    """libvirt cannot live without ONBOOT."""
    with open(fake.paths.vz_conf, "w", encoding="ascii") as file:
        file.write("DEF_OSTEMPLATE=busybox\n")
    assert fake.ctl("create", "101", "--layout", "simfs").code == 0
    lines = fake.conf(101).splitlines()
    assert 'ONBOOT="no"' in lines and 'VE_LAYOUT="simfs"' in lines and 'OSTEMPLATE="busybox"' in lines
    assert not [line for line in lines if line.startswith("ORIGIN_SAMPLE")]


def test_a_failing_create_says_so(fake: Fake) -> None:
    fake.host.failure = Failure(91, "Cached OS template debian-12 not found")
    said = fake.ctl("create", "101")
    text = "Cached OS template debian-12 not found\nCreation of container private area failed\n"
    assert said == Said(91, "", text) and not os.path.exists(fake.paths.ct_conf(101))


# The edge


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (Broken("no"), "no", 3),
        (Broken("no", hint="yes"), "no (yes)", 3),
        (Failure(46, "full"), "full", 46),
        (OSError(28, "No space left on device", "/x"), "Error: /x: No space left on device", 3),
        (OSError(28, "No space left on device"), "Error: No space left on device", 3),
        (TimeoutError(), "Error: operation timed out", 3),
        (ExceptionGroup("several", [Failure(31, "down")]), "down", 31),
        (KeyError("x"), "Error: internal error: KeyError: 'x'", 3),
    ],
)
def test_the_edge(error: Exception, text: str, code: int) -> None:
    assert edge.report(error) == (text, code)


def test_the_innermost_note_is_shown() -> None:
    with pytest.raises(OSError) as caught, doing("start CT 101"), doing("mount /proc"):
        raise PermissionError(1, "Operation not permitted")
    assert edge.report(caught.value) == ("Error: mount /proc: Operation not permitted", 3)


def test_nothing_gets_past_the_edge(fake: Fake) -> None:
    fake.up(101)
    for error, code in ((RuntimeError("x"), 3), (VzError("y"), 3)):
        fake.host.failure = error
        said = fake.ctl("stop", "101")
        assert said.code == code and said.stderr.count("\n") == 1
        assert os.listdir(fake.paths.lock_dir) == []


@pytest.mark.parametrize(("verb", "stderr"), [("stop", "Cancelling...\n"), ("exec2", "")])
def test_an_interrupted_command(fake: Fake, verb: str, stderr: str) -> None:
    """The lock is free again, and the cancellation goes on to the daemon."""
    fake.up(101)

    async def interrupted() -> None:
        fake.host.begun = asyncio.Event()
        task = asyncio.ensure_future(fake.start(verb, "101", "x" if verb == "exec2" else "--fast"))
        await fake.host.begun.wait()
        assert (len(os.listdir(fake.paths.lock_dir)) == 1) == (verb == "stop")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(interrupted())
    assert fake.session.stderr == stderr and os.listdir(fake.paths.lock_dir) == []


# Completion


def test_completion_words() -> None:
    words = usage.completion_words()
    assert {"start", "delete", "suspend", "--skiplock"} <= set(words[""]) and "snapshot" not in words[""]
    assert {"--save", "--ipadd"} <= set(words["set"]) and "--netif_add" not in words["set"]
    assert words["enter"] == ["--exec"] and words["exec"] == []
    assert set(words[""]) - {one for one in words[""] if one.startswith("--")} == set(words) - {""}
    assert set(words) - {""} <= set(BY_NAME)
