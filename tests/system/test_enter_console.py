"""enter and console on a real terminal; ssh and passwords in a Debian container."""

import os
import subprocess

import pexpect
import pytest

from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.terminals import exit_status

pytestmark = pytest.mark.system

PROMPT = r"[#$] (\x1b\[6n)?$"  # busybox asks the terminal where its cursor is


def entered(vz: Vz, ctid: int = 101, rows: int = 24, cols: int = 80) -> "pexpect.spawn[str]":
    child = vz.spawn("vzctl", "enter", str(ctid), rows=rows, cols=cols)
    child.expect_exact(f"entered into CT {ctid}")
    child.expect(PROMPT)
    return child


def test_enter_is_a_login_shell_on_a_terminal(vz: Vz) -> None:
    vz.start(101)
    child = entered(vz)
    child.sendline("tty; echo shell=$0")
    child.expect(r"/dev/pts/\d+")
    child.expect(r"shell=-\w*sh")
    child.sendline("exit 5")
    child.expect_exact("exited from CT 101")
    assert exit_status(child) == 5


def test_enter_a_stopped_container(vz: Vz) -> None:
    vz.create(101)
    assert "Container is not running" in vz.ctl("enter", "101", check=31).stderr


def test_control_c_interrupts_the_command_and_not_the_session(vz: Vz) -> None:
    vz.start(101)
    child = entered(vz)
    child.sendline("sleep 1000; echo code=$?")
    machine.until("sleep runs", lambda: "sleep 1000" in vz.ctl("exec2", "101", "ps").stdout)
    child.sendcontrol("c")
    child.expect(PROMPT)
    child.sendline("echo still-$((40+2))")
    child.expect_exact("still-42")
    child.sendline("exit")
    child.expect(pexpect.EOF)


def test_window_size_arrives_and_follows(vz: Vz) -> None:
    vz.start(101)
    child = entered(vz, rows=31, cols=97)
    child.sendline("stty size")
    child.expect_exact("31 97")
    child.setwinsize(40, 120)
    machine.until("the new size", lambda: _says(child, "stty size", "40 120"))
    child.sendline("exit")
    child.expect(pexpect.EOF)


def _says(child: "pexpect.spawn[str]", command: str, answer: str) -> bool:
    child.sendline(command)
    return bool(child.expect_exact([answer, pexpect.TIMEOUT], timeout=1) == 0)


def test_enter_exec_types_the_command(vz: Vz) -> None:
    vz.start(101)
    child = vz.spawn("vzctl", "enter", "101", "--exec", "echo typed-$((1+1))")
    child.expect_exact("typed-2")
    child.sendline("exit")
    child.expect(pexpect.EOF)


def test_enter_exec_types_a_long_command_before_the_end_of_stdin(vz: Vz) -> None:
    """Longer than a terminal takes at once: who does not wait until all is typed loses some of it."""
    vz.start(101)
    command = ": something that takes its time\n" * 1000 + "exit 7"
    assert vz.run("vzctl", "enter", "101", "--exec", command, check=7).code == 7


def test_the_terminal_is_restored(vz: Vz) -> None:
    vz.start(101)
    child = vz.spawn("sh")
    child.expect(PROMPT)
    child.sendline("stty -g; vzctl enter 101")
    child.expect(r"([0-9a-f:]{20,})\r\n")
    before = child.match[1]
    child.expect_exact("entered into CT 101")
    child.expect(PROMPT)
    child.sendline("exit")
    child.expect_exact("exited from CT 101")
    child.expect(PROMPT)
    child.sendline("stty -g")
    child.expect(r"([0-9a-f:]{20,})\r\n")
    assert child.match[1] == before
    child.close(force=True)


def test_a_closed_terminal_ends_the_session(vz: Vz) -> None:
    vz.start(101)
    child = entered(vz)
    child.sendline("sleep 4321")
    machine.until("sleep runs", lambda: "sleep 4321" in vz.ctl("exec2", "101", "ps").stdout)
    child.close(force=True)
    machine.until("sleep is gone", lambda: "sleep 4321" not in vz.ctl("exec2", "101", "ps").stdout)


def test_console_detaches_with_escape_dot(vz: Vz) -> None:
    vz.start(101)
    child = vz.spawn("vzctl", "console", "101")
    child.expect_exact("Attached to CT 101 (ESC . to detach)")
    vz.ctl("exec2", "101", "echo console-word > /dev/console")
    child.expect_exact("console-word")
    child.send("\r\x1b.")
    child.expect_exact("Detached from CT 101")
    assert exit_status(child) == 0


def test_console_keeps_what_was_said_while_nobody_looked(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("exec2", "101", "echo earlier-word > /dev/console")
    child = vz.spawn("vzctl", "console", "101")
    child.expect_exact("earlier-word")
    child.send("\r\x1b.")
    child.expect(pexpect.EOF)


@pytest.mark.parametrize("template", ["busybox", pytest.param("debian-12", marks=pytest.mark.slow)])
def test_log_in_on_the_console(vz: Vz, template: str) -> None:
    """Attach, ENTER, and there is a login prompt; after the logout another one, and after a detach still."""
    vz.start(101, template=template)
    vz.ctl("set", "101", "--userpasswd", "root:s3cret")
    child = vz.spawn("vzctl", "console", "101")
    child.expect_exact("to detach)")
    child.send("\r")
    child.expect_exact("login: ")
    for _ in range(2):
        child.sendline("root")
        child.expect("assword: ")
        child.sendline("s3cret")
        child.expect(r"# (\x1b\[6n)?$")
        child.sendline("echo on-$(tty)")
        child.expect(r"on-/dev/\S+")
        child.sendline("exit")
        child.expect_exact("login: ")
    child.send("\r\x1b.")
    child.expect_exact("Detached from CT 101")
    child = vz.spawn("vzctl", "console", "101")
    child.expect_exact("to detach)")
    child.sendline("somebody")
    child.expect(r"somebody\s+Password: ")


@pytest.fixture
def debian(vz: Vz) -> Vz:
    vz.start(101, "--ipadd", "192.0.2.101", "--hostname", "deb.example.org", template="debian-12")
    machine.until("sshd answers", lambda: _port_open(vz))
    return vz


def _port_open(vz: Vz) -> bool:
    probe = "import socket; print(socket.create_connection(('192.0.2.101', 22), 2).recv(4))"
    return "SSH-" in vz.run("python3", "-c", probe, check=None).stdout


def ssh(vz: Vz, *words: str) -> list[str]:
    return ["ssh", "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oLogLevel=ERROR",
            "-oConnectTimeout=10", *words]  # fmt: skip


@pytest.mark.parametrize("image", ["busybox", "debian-12"])
def test_enter_without_input_ends(vz: Vz, image: str) -> None:
    """The shell sees the end of the input, however late it makes the terminal its own."""
    vz.start(101, template=image)
    for _ in range(3):
        assert vz.run("vzctl", "enter", "101").stdout.endswith("exited from CT 101\n")
        assert vz.run("vzctl", "enter", "101", input="exit 6\n", check=6).code == 6


@pytest.mark.slow
def test_ssh_with_a_key(debian: Vz) -> None:
    key = f"{debian.prefix}/key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    with open(f"{key}.pub", encoding="ascii") as file:
        debian.ctl(
            "exec2", "101", "mkdir -p /root/.ssh && cat > /root/.ssh/authorized_keys", input=file.read()
        )
    said = debian.run(*ssh(debian, "-i", key, "-oBatchMode=yes", "root@192.0.2.101", "hostname; id -u"))
    assert said.stdout == "deb.example.org\n0\n"


@pytest.mark.slow
def test_ssh_with_a_password_that_vzctl_set(debian: Vz) -> None:
    debian.ctl("set", "101", "--userpasswd", "walter:s3cret:with colon")
    child = debian.spawn(*ssh(debian, "-oPubkeyAuthentication=no", "walter@192.0.2.101"))
    child.expect("assword:")
    child.sendline("s3cret:with colon")
    child.expect(PROMPT)
    child.sendline("id -un")
    child.expect_exact("walter")
    child.sendline("exit")
    child.expect(pexpect.EOF)
    assert "s3cret" not in machine.read(debian.paths.ct_conf(101)) + machine.read(debian.paths.log_file)


@pytest.mark.slow
def test_reboot_over_ssh_comes_back(debian: Vz) -> None:
    before = debian.uptime_clock(101)
    debian.ctl("exec", "101", "shutdown -r now", check=None)
    debian.wait_reboot(101, before)
    machine.until("sshd answers again", lambda: _port_open(debian))


@pytest.mark.slow
def test_nothing_of_the_build_machine_is_inside(debian: Vz) -> None:
    """Hostname, machine-id and host keys are made at first boot."""
    debian.start(102, template="debian-12")
    facts = "cat /etc/machine-id; cat /etc/ssh/ssh_host_ed25519_key.pub"
    machine.until("keys of 102", lambda: debian.ctl("exec2", "102", facts, check=None).code == 0)
    one, two = (debian.ctl("exec2", ctid, facts).stdout.split() for ctid in ("101", "102"))
    assert one[0] != two[0] and len(one[0]) == 32
    assert one[2] != two[2]
    assert (
        os.uname().nodename
        not in debian.ctl("exec", "102", "cat /etc/hostname /etc/hosts", check=None).stdout.split()
    )
