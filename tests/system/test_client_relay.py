"""The commands between a user and a fake hostd: pipes, terminals, consoles, signals."""

import hashlib
import os
import re
import signal
import termios
from collections.abc import Iterator

import pexpect
import pytest

from tests.harness import machine
from tests.harness.small import TIMEOUT, Small
from tests.harness.terminals import exit_status

pytestmark = [pytest.mark.root, pytest.mark.system]

MEGABYTES = os.urandom(10 << 20)


@pytest.fixture(autouse=True)
def no_descriptor_stays_in_the_daemon(small: Small) -> Iterator[None]:
    """Whatever the command did, or suffered."""
    before = small.ctl("fds")
    yield
    machine.until("descriptors are closed", lambda: small.ctl("fds") == before)


# pipes


def test_ten_megabytes_each_way(small: Small) -> None:
    done = small.run("vzctl", "exec", "cat", input=MEGABYTES)
    assert done.returncode == 0
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(MEGABYTES).digest()


def test_ten_megabytes_on_stderr_and_a_code(small: Small) -> None:
    done = small.run("vzctl", "exec", "cat >&2; exit 77", input=MEGABYTES)
    assert (done.returncode, done.stdout, done.stderr == MEGABYTES) == (77, b"", True)


def test_output_written_just_before_the_end_is_not_lost(small: Small) -> None:
    for _ in range(10):
        done = small.run("vzctl", "exec", "head -c 60000 /dev/zero; exit 3", input=b"")
        assert (done.returncode, len(done.stdout)) == (3, 60000)


def test_what_hostd_says_comes_behind_what_was_written_before(small: Small) -> None:
    for _ in range(5):
        assert small.ctl("comment", input=b"") == "the program\nhostd\n"


def test_a_slow_reader_loses_nothing(small: Small) -> None:
    done = small.run("sh", "-c", "vzctl exec 'head -c 3000000 /dev/zero' </dev/null | (sleep 0.5; wc -c)")
    assert done.stdout.strip() == b"3000000"


def test_end_of_input_travels_on(small: Small) -> None:
    assert small.ctl("exec", "wc -c", input=b"") == "0\n"


def test_a_program_that_does_not_read_its_input(small: Small) -> None:
    assert small.ctl("exec", "exec 0<&-; echo fine", input=MEGABYTES) == "fine\n"


def test_a_reader_that_leaves_ends_the_program(small: Small) -> None:
    done = small.run("sh", "-c", "vzctl exec 'trap \"\" PIPE; yes' </dev/null | head -n 2")
    assert done.stdout == b"y\ny\n"


def test_a_background_program_does_not_hold_the_command(small: Small) -> None:
    assert small.ctl("exec", "sleep 5 & echo started", input=b"") == "started\n"


# terminals


def test_a_shell_on_a_terminal(small: Small) -> None:
    child = small.spawn("vzctl", "enter", "/bin/sh", rows=31, cols=97)
    child.sendline("stty size; stty -a | grep -o ' echo '; tty")
    child.expect_exact("31 97")
    child.setwinsize(40, 120)
    child.sendline("while [ \"$(stty size)\" != '40 120' ]; do :; done; echo new-$((1+1))")
    child.expect_exact("new-2")
    child.sendline("exit 42")
    assert exit_status(child) == 42


def test_control_c_is_a_byte(small: Small) -> None:
    child = small.spawn("vzctl", "enter", "/bin/sh")
    child.sendline("stty -isig; echo ready-$((1+1)); head -c 2 | od -An -tx1")
    child.expect_exact("ready-2")
    child.sendcontrol("c")
    child.sendline("")
    child.expect_exact("03 0a")
    child.sendline("stty isig; sleep 4241; echo code=$?")
    machine.until("it runs", lambda: sleeping("4241"))
    child.sendcontrol("c")
    child.sendline("exit")
    child.expect(pexpect.EOF)


def test_the_terminal_is_given_back(small: Small) -> None:
    """After an exit, a signal, a lost daemon and a hang-up by hostd."""
    shell = small.spawn("/bin/sh")
    shell.sendline("PS1=; stty -echo; stty -g > $VZ_PREFIX/before; echo go-$((1+1))")
    shell.expect_exact("go-2")
    for number, command in enumerate(
        (
            "vzctl enter /bin/true",
            "(until [ -s $VZ_PREFIX/pid ]; do sleep 0.1; done; sleep 0.3; kill -HUP $(cat $VZ_PREFIX/pid)) &"
            " sh -c 'echo $$ > $VZ_PREFIX/pid;"
            " exec vzctl enter sleep 1000'",
            "(sleep 0.3; vzctl die 2>/dev/null) & vzctl enter sleep 1",
            "vzctl hangup",
        )
    ):
        shell.sendline(f"{command}; stty -g > $VZ_PREFIX/after; echo over-$(({number}+0))")
        shell.expect_exact(f"over-{number}")
        assert machine.read(f"{small.prefix}/after") == machine.read(f"{small.prefix}/before"), command
    shell.close(force=True)


def test_a_stopped_command_gives_the_terminal_back_and_takes_it_again(small: Small) -> None:
    shell = small.spawn("/bin/sh")
    shell.sendline("PS1=; stty -echo; stty -g > $VZ_PREFIX/before; echo go-$((1+1))")
    shell.expect_exact("go-2")
    cooked = termios.tcgetattr(shell.child_fd)
    shell.sendline("sh -c 'echo $$ > $VZ_PREFIX/pid; exec vzctl enter sh -c \"echo in-side; read x; echo got-\\$x\"'")
    shell.expect_exact("in-side")
    raw = termios.tcgetattr(shell.child_fd)
    for _ in range(2):
        os.kill(int(machine.read(f"{small.prefix}/pid")), signal.SIGTSTP)
        shell.expect("Stopped")
        machine.until("cooked", lambda: termios.tcgetattr(shell.child_fd) == cooked)
        shell.sendline("fg")
        machine.until("raw", lambda: termios.tcgetattr(shell.child_fd) == raw)
    shell.sendline("this")
    shell.expect_exact("got-this")
    shell.sendline("stty -g > $VZ_PREFIX/after; echo over-$((1+1))")
    shell.expect_exact("over-2")
    assert machine.read(f"{small.prefix}/after") == machine.read(f"{small.prefix}/before")
    shell.close(force=True)


# hostd dies


@pytest.mark.parametrize(("verb", "code"), [("exec", 8), ("exec2", 3)])
def test_a_program_goes_on_without_hostd(small: Small, verb: str, code: int) -> None:
    child = small.popen("vzctl", verb, "echo begun; read x; echo got-$x; exit 5")
    assert child.stdout and child.stdin
    assert child.stdout.readline() == b"begun\n"
    machine.kill_and_wait(small.daemon_pid)
    said, complaint = child.communicate(b"this\n", timeout=TIMEOUT)
    assert (child.returncode, said) == (code, b"got-this\n")
    assert complaint == b"vzctl: hostd went away meanwhile; the program went on, but how it ended is not known\n"


def test_without_hostd_the_first_signal_ends_the_command(small: Small) -> None:
    child = small.popen("vzctl", "exec", "echo begun; cat")
    assert child.stdout
    assert child.stdout.readline() == b"begun\n"
    pid = small.daemon_pid
    machine.kill_and_wait(pid)
    machine.until("the command is alone", lambda: small.daemon_pid != pid)
    child.terminate()
    child.communicate(timeout=TIMEOUT)
    assert child.returncode == 143


# terminals, given back by others


def test_a_hang_up_hands_on_what_was_written_before(small: Small) -> None:
    child = small.spawn("vzctl", "hangup")
    child.expect_exact("before hangup")
    child.expect_exact("hung up")
    assert exit_status(child) == 4


def test_commands_typed_from_a_pipe(small: Small) -> None:
    done = small.run("vzctl", "enter", "/bin/sh", input=b"echo from-$((40+2))\n")
    assert done.returncode == 0
    assert b"from-42" in done.stdout


@pytest.mark.parametrize("size", [1, 100_000])
def test_the_end_of_stdin_comes_behind_the_command(small: Small, size: int) -> None:
    """More than a terminal takes at once, too."""
    assert small.ctl("typed", str(size), input=b"") == f"{size}\n"


def test_a_closed_terminal_ends_the_session(small: Small) -> None:
    child = small.spawn("vzctl", "enter", "sleep", "4242")
    machine.until("it runs", lambda: sleeping("4242"))
    child.close(force=True)
    machine.until("it ends", lambda: not sleeping("4242"))


def sleeping(seconds: str) -> bool:
    return any(machine.cmdline(pid)[:2] == ["sleep", seconds] for pid in machine.pids())


# consoles


def test_console_escapes_count_at_the_start_of_a_line_only(small: Small) -> None:
    child = small.spawn("vzctl", "console")
    child.expect_exact("Attached to CT 1 (ESC . to detach)\r\n")
    child.expect_exact("console ready")
    child.send("a\x1b.")
    typed = b""
    while typed != b"a\x1b.":
        child.expect(r"<(\w+)>")
        typed += bytes.fromhex(child.match[1].decode())
    child.send("\r")
    child.expect_exact("<0d>")
    child.send("\x1b.")
    child.expect_exact("Detached from CT 1\r\n")
    assert exit_status(child) == 0


def test_console_attention_key(small: Small) -> None:
    child = small.spawn("vzctl", "console")
    child.expect_exact("console ready")
    child.send("\x1b!\x1b.")
    child.expect_exact("Detached from CT 1 after SAK")
    child.expect(pexpect.EOF)


def test_console_goes_on_with_the_next_start(small: Small) -> None:
    child = small.spawn("vzctl", "console")
    child.expect_exact("console ready")
    child.send("end\r")
    child.expect_exact("console ready")
    child.send("b")
    child.expect_exact("<62>")
    child.send("\r\x1b.")
    child.expect_exact("Detached")
    child.expect(pexpect.EOF)


# signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_undoes_the_operation(small: Small, number: int) -> None:
    command = small.popen("vzctl", "operation")
    assert command.stdout is not None and command.stdout.readline() == b"started\n"
    command.send_signal(number)
    out, err = command.communicate()
    assert (out, err, command.returncode) == (b"undone\n", b"", 3)


def test_the_second_signal_leaves_at_once(small: Small) -> None:
    command = small.popen("vzctl", "operation", "stubborn")
    assert command.stdout is not None and command.stdout.readline() == b"started\n"
    command.send_signal(signal.SIGINT)
    machine.until("the first is taken", lambda: not pending(command.pid, signal.SIGINT))
    command.send_signal(signal.SIGINT)
    assert command.wait() == 130
    command.communicate()
    machine.kill_and_wait(small.daemon_pid)  # nothing but this ends the stubborn operation
    small.ctl("pid")


def pending(pid: int, number: int) -> bool:
    masks = re.findall(r"^S[hi][dg]Pnd:\s*(\w+)$", machine.read(f"/proc/{pid}/status"), re.MULTILINE)
    return any(int(mask, 16) & 1 << number - 1 for mask in masks)


def test_a_program_with_pipes_is_ended_by_control_c(small: Small) -> None:
    child = small.spawn("vzctl", "exec", "echo up; exec sleep 4243")
    child.expect_exact("up")
    child.sendcontrol("c")
    assert exit_status(child) == 130
    assert not sleeping("4243")


def test_a_killed_command_does_not_disturb_its_operation(small: Small) -> None:
    """The daemon finishes what nobody waits for any more."""
    command = small.popen("vzctl", "later", "300:1.link")
    assert command.stdout is not None and command.stdout.readline() == b"started\n"
    command.kill()
    command.communicate()
    machine.until("it was done", lambda: "300:1.link" in small.ctl("done"))
