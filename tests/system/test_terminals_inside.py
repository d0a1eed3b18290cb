"""What people do on a terminal once they are in: become another, with PAM; leave something running and come back."""

import re
import subprocess

import pexpect
import pytest

from tests.harness import machine
from tests.harness.installation import Vz

pytestmark = [pytest.mark.system, pytest.mark.slow]

PROMPT = r"[#$] (\x1b\[6n)?$"
SSH = ("ssh", "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oLogLevel=ERROR",
       "-oConnectTimeout=10", "-oIdentitiesOnly=yes")  # fmt: skip
ANN = """\
#cloud-config
users: [{name: ann, shell: /bin/bash, sudo: 'ALL=(ALL) NOPASSWD:ALL'}]
"""


def inside(vz: Vz, command: str, check: int | None = 0) -> str:
    return vz.ctl("exec2", "101", command, check=check).stdout


@pytest.fixture(params=["vz", "handoff"])
def up(vz: Vz, request: pytest.FixtureRequest) -> Vz:
    """A container with ann, and a key of ours for root and for her."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{vz.prefix}/key"], check=True)
    with open(f"{vz.prefix}/data", "w", encoding="ascii") as file:
        file.write(ANN)
    vz.create(101, "--ipadd", "192.0.2.101", "--sshkey", f"{vz.prefix}/key.pub", "--userdata", f"{vz.prefix}/data",
              "--init", request.param, template="debian-12-tools")  # fmt: skip
    vz.ctl("start", "101", "--wait")
    ssh = (*SSH, "-i", f"{vz.prefix}/key", "root@192.0.2.101")
    machine.until("sshd answers", lambda: vz.run(*ssh, "true", check=None).code == 0)
    return vz


def login(vz: Vz, way: str, rows: int = 24, cols: int = 80) -> "pexpect.spawn[str]":
    enter = ("vzctl", "enter", "101")
    ssh = (*SSH, "-i", f"{vz.prefix}/key", "root@192.0.2.101")
    child = vz.spawn(*(enter if way == "enter" else ssh), rows=rows, cols=cols)
    child.expect(PROMPT)
    return child


def says(child: "pexpect.spawn[str]", command: str, answer: str) -> None:
    """*answer* must not be in the command, which is echoed."""
    assert not re.search(answer, command)
    child.sendline(command)
    child.expect(answer)
    child.expect(PROMPT)


WAYS = ["enter", "ssh"]


@pytest.mark.parametrize("way", WAYS)
def test_become_another_and_come_back(up: Vz, way: str) -> None:
    child = login(up, way)
    terminal = inside(up, "who").split()[1]
    says(child, "su - ann", r"ann@\S+:~")
    says(child, "echo $(id -un) $HOME $LOGNAME $(pwd) $(tty)", f"ann /home/ann ann /home/ann /dev/{terminal}\r")
    says(child, "logname", "root\r")
    says(child, "sudo -u root sh -c 'echo uid-$(id -u) $SUDO_USER'", "uid-0 ann\r")
    says(child, "sudo -i -u ann sh -c 'stty size; echo $TERM'", "24 80\r\n\\S+\r")
    child.sendline("sleep 1000; echo code-$?")
    machine.until("it sleeps", lambda: inside(up, "pgrep -u ann -x sleep", None) != "")
    child.sendcontrol("z")
    child.expect(r"Stopped")
    child.expect(PROMPT)
    says(child, "bg; echo job-$((1+1))", "job-2")
    says(child, "kill %1; wait; echo none-$(jobs | wc -l)", "none-0")
    says(child, "exit", r"root@\S+:~")
    assert inside(up, "who").split()[:2] == ["root", terminal]
    child.setwinsize(40, 100)
    machine.until("the new size", lambda: inside(up, f"stty size </dev/{terminal}") == "40 100\n")
    says(child, "su - ann -c 'stty size'", "40 100\r")
    child.sendline("exit")
    child.expect(pexpect.EOF)


@pytest.mark.parametrize("way", WAYS)
def test_screen(up: Vz, way: str) -> None:
    """It outlives the login, and is shown to the next one.  In utmp its window stands in for the login's terminal."""
    child = login(up, way)
    child.sendline("screen -S work")
    child.expect(PROMPT)
    child.sendline("echo word-$((40+2)) $TERM")
    child.expect("word-42 screen")
    machine.until("its window is in utmp", lambda: len(re.findall(r":S\.0\)$", inside(up, "who"), re.M)) == 1)
    child.close(force=True)
    machine.until("it is detached", lambda: "Detached" in inside(up, "screen -ls", None))
    child = login(up, "enter")
    child.sendline("screen -r work")
    child.expect("word-42 screen")
    child.sendline("exit")
    child.expect("screen is terminating")
    child.expect(PROMPT)
    machine.until("the terminal is in utmp again", lambda: re.findall("S.0|pts/", inside(up, "who")) == ["pts/"])


@pytest.mark.parametrize("way", WAYS)
def test_tmux(up: Vz, way: str) -> None:
    child = login(up, way, rows=30, cols=90)
    child.sendline("tmux new -s work")
    child.expect(r"\[work\]")
    child.sendline("echo word-$((40+2)) $TERM; stty size")
    child.expect("word-42 (tmux|screen)")
    child.expect("29 90")
    child.setwinsize(20, 70)
    machine.until("the new size", lambda: inside(up, "tmux display -pt work '#{window_width}'") == "70\n")
    child.close(force=True)
    machine.until("it is detached", lambda: inside(up, "tmux ls -F '#{session_attached}'") == "0\n")
    child = login(up, "enter")
    child.sendline("tmux attach -t work")
    child.expect("word-42")
    child.sendline("exit")
    child.expect(r"\[exited\]")
