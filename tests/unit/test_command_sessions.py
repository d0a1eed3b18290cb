"""exec, enter, console and runscript: what is run, and what its end means."""

import errno
import os

import pytest

from hostd.command.host import Ended
from hostd.errors import Failure
from tests.harness.fake_host import Fake, Said


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


@pytest.mark.parametrize(
    ("verb", "number", "code"),
    [("exec3", errno.ENOENT, 127), ("exec3", errno.EACCES, 126), ("exec3", errno.ENOMEM, 8),
     ("exec2", errno.ENOENT, 127), ("exec", errno.ENOENT, 8)],
)  # fmt: skip
def test_a_program_that_is_not_there(fake: Fake, verb: str, number: int, code: int) -> None:
    fake.up(101)
    fake.host.failure = OSError(number, os.strerror(number))
    program = "prog" if verb == "exec3" else "/bin/bash or /bin/sh"
    assert fake.ctl(verb, "101", "prog") == Said(code, "", f"Unable to execute {program}: {os.strerror(number)}\n")


def test_enter(fake: Fake) -> None:
    fake.up(101)
    fake.host.ended = Ended(7)
    said = fake.ctl("enter", "101", "--exec", "ls", "--exec", "x")
    assert said == Said(7, "entered into CT 101\nexited from CT 101\n", "")
    assert fake.host.calls == [("enter", 101, "ls --exec x")]


def test_who_does_not_get_in_has_not_entered(fake: Fake) -> None:
    fake.up(101)
    fake.host.failure = Failure(6, "numproc is reached", hint="raise it")
    assert fake.ctl("enter", "101") == Said(6, "", "numproc is reached (raise it)\n")
    assert fake.ctl("exec", "101", "x") == Said(8, "", "numproc is reached (raise it)\n")


def test_a_limit_that_a_command_ran_into_is_named(fake: Fake) -> None:
    fake.up(101)
    fake.host.ended = Ended(2, refused=True)
    warning = "Warning: numproc was reached meanwhile: raise it with `vzctl set 101 --numproc N`\n"
    assert fake.ctl("exec2", "101", "x | y") == Said(2, "", warning)


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
