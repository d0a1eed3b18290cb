"""The commands in front of a fake hostd: what they print, what they answer, who may run them."""

import os
import re
import subprocess

import pexpect
import pytest

from tests.harness.small import Small

pytestmark = [pytest.mark.root, pytest.mark.system]


def test_both_streams_and_the_code(small: Small) -> None:
    done = small.run("vzctl", "mixed", "1000")
    assert done.returncode == 7
    assert done.stdout.split() == [b"%d" % n for n in range(0, 1000, 2)]
    assert done.stderr.split() == [b"%d" % n for n in range(1, 1000, 2)]


def test_streams_keep_their_order_on_one_terminal(small: Small) -> None:
    child = small.spawn("vzctl", "mixed", "300")
    child.expect(pexpect.EOF)
    child.close()
    assert child.before.split() == [b"%d" % n for n in range(300)]
    assert child.exitstatus == 7


def test_long_output_arrives_whole(small: Small) -> None:
    assert small.ctl("flood", "5000000") == "x" * 5000000


def test_a_reader_that_leaves_does_not_hurt(small: Small) -> None:
    done = small.run("sh", "-c", "vzctl flood 5000000 | head -c 10; echo; vzctl pid >&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"x" * 10 + b"\n", b"")


def test_closed_stdio(small: Small) -> None:
    assert small.run("sh", "-c", "vzctl status 5 0>&-").stdout == b"CTID 5 exist unmounted down\n"
    assert small.run("sh", "-c", "vzctl mixed 4 0>&- 1>&- 2>&-").returncode == 7
    assert small.run("sh", "-c", "vzctl exec 'cat; echo done' 0>&- 2>&-").stdout == b"done\n"


def test_arguments_arrive_byte_by_byte(small: Small) -> None:
    word = b"--b\xff\xc3\xa4= \n'\""
    done = subprocess.run([b"vzctl", word], env=small.env, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (20, b"Bad command: " + word + b"\n")


def test_arguments_that_are_too_long(small: Small) -> None:
    done = small.run("vzctl", "exec", *["x" * 1000] * 200)
    assert done.returncode == 20
    assert done.stderr == b"vzctl: the arguments are too long: more than 128 KiB together\n"


def test_the_daemon_knows_terminal_and_directory(small: Small) -> None:
    child = small.spawn("vzctl", "facts", rows=33, cols=99)
    child.expect(r"0 True 33 99 xterm /\r\n")
    assert small.ctl("facts", input=b"").startswith("0 False 24 80 xterm /")
    child.expect(pexpect.EOF)


def as_nobody(small: Small, prog: str, *argv: str) -> "subprocess.CompletedProcess[bytes]":
    """The command of another user; its program lies where only root can look."""
    program = os.open(f"{small.bin}/{prog}", os.O_PATH)
    try:
        return subprocess.run(
            [prog, *argv], executable=f"/proc/self/fd/{program}", pass_fds=[program], env=small.env,
            user=65534, group=65534, extra_groups=[], capture_output=True, check=False,
        )  # fmt: skip
    finally:
        os.close(program)


def test_version_needs_nobody(small: Small) -> None:
    done = as_nobody(small, "vzctl", "--version")
    assert re.fullmatch(rb"vzctl version \d+\.\d+\.\d+\n", done.stdout), done


@pytest.mark.parametrize(("prog", "code"), [("vzctl", 12), ("vzlist", 1)])
def test_only_root(small: Small, prog: str, code: int) -> None:
    done = as_nobody(small, prog, "-a")
    assert (done.returncode, done.stderr.decode()) == (code, f"{prog}: {prog} must be run as root\n")


def test_the_server_believes_the_kernel_and_not_the_command(small: Small) -> None:
    """A user who gets at the socket all the same."""
    script = f"""
import os, socket, sys
sys.path.insert(0, {os.getcwd()!r})
from vzinit.protocol import encode, decode
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
fd = os.open({small.paths.run_dir!r}, os.O_PATH)
os.setgroups([]); os.setresuid(65534, 65534, 65534)
s.connect(f"/proc/self/fd/{{fd}}/hostd.sock")
s.send(encode("run", prog="vzctl", arg=["pid"], uid=0))
print(*(decode(s.recv(9999)) for _ in range(3)))
"""
    os.chmod(small.paths.socket, 0o666)
    try:
        done = small.run("/usr/bin/python3", "-c", script)
    finally:
        os.chmod(small.paths.socket, 0o600)
    said = "('begun', {}) ('err', {'text': ['vzctl: only root may do this\\n']}) ('exit', {'code': ['12']})\n"
    assert done.stdout.decode() == said, done


def deaths(small: Small, count: int) -> None:
    with open(f"{small.prefix}/deaths", "w", encoding="ascii") as file:
        file.write("x" * count)


def test_a_question_is_asked_again_when_hostd_dies(small: Small) -> None:
    """Its answer comes once, although a part of it had been said before."""
    deaths(small, 2)
    assert small.ctl("status", "5") == "CTID 5 exist unmounted down\n"
    assert os.path.getsize(f"{small.prefix}/deaths") == 0


def test_a_question_is_not_asked_for_ever(small: Small) -> None:
    deaths(small, 3)
    done = small.run("vzctl", "status", "5")
    assert (done.returncode, done.stdout) == (3, b"")
    assert os.path.getsize(f"{small.prefix}/deaths") == 0


def test_an_action_is_not_repeated(small: Small) -> None:
    deaths(small, 2)
    done = small.run("vzctl", "start", "5")
    assert (done.returncode, done.stdout) == (3, b"Starting container...\n")
    assert done.stderr.decode() == (
        "vzctl: hostd went away before it answered; the container is not harmed; see `vzctl status 5`\n"
    )
    assert os.path.getsize(f"{small.prefix}/deaths") == 1
    deaths(small, 0)
