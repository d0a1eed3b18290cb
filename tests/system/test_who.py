"""Who is logged in: `who`, `w` and `last` show a login by enter, at the console and by ssh, for as long as it lasts.

As the distribution does: Debian 13 has none of the files, and busybox only what it finds.
"""

import subprocess

import pexpect
import pytest

from tests.harness import machine
from tests.harness.installation import Vz

pytestmark = [pytest.mark.system, pytest.mark.slow]

PROMPT = r"[#$] (\x1b\[6n)?$"
SSH = ("ssh", "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oLogLevel=ERROR",
       "-oConnectTimeout=10", "-oIdentitiesOnly=yes")  # fmt: skip
HAVE_UTMP = [("debian-12", "vz"), ("debian-12", "handoff"), ("busybox", "vz")]


def inside(vz: Vz, command: str, check: int | None = 0) -> str:
    return vz.ctl("exec2", "101", command, check=check).stdout


def who(vz: Vz) -> list[str]:
    """The terminals where somebody is logged in, and it is root everywhere."""
    rows = [line.split() for line in inside(vz, "who").splitlines() if not line.startswith("USER")]
    assert all(row[0] == "root" for row in rows), rows
    return sorted(row[1] for row in rows)


def entered(vz: Vz) -> "pexpect.spawn[str]":
    child = vz.spawn("vzctl", "enter", "101")
    child.expect(PROMPT)
    return child


def at_console(vz: Vz) -> "pexpect.spawn[str]":
    vz.ctl("set", "101", "--userpasswd", "root:s3cret")
    child = vz.spawn("vzctl", "console", "101")
    child.expect("to detach")
    child.send("\r")
    child.expect("login: ")
    child.sendline("root")
    child.expect("assword: ")
    child.sendline("s3cret")
    child.expect(PROMPT)
    return child


def ended(child: "pexpect.spawn[str]") -> None:
    child.sendline("exit")
    child.expect(pexpect.EOF)


@pytest.mark.parametrize(("image", "init"), HAVE_UTMP)
def test_enter_and_console(vz: Vz, image: str, init: str) -> None:
    vz.start(101, "--init", init, template=image)
    machine.until("utmp", lambda: inside(vz, "test -s /run/utmp && echo there", None) == "there\n")
    first, second = entered(vz), entered(vz)
    both = who(vz)
    assert len(both) == 2
    assert [line.split()[1] for line in inside(vz, "w").splitlines() if line.startswith("root")] == both
    ended(first)
    machine.until("one is left", lambda: len(who(vz)) == 1)
    second.close(force=True)  # the terminal is gone, not asked to
    machine.until("nobody is left", lambda: who(vz) == [])
    third = at_console(vz)
    assert len(who(vz)) == 1
    third.sendline("exit")
    third.expect("login: ")
    machine.until("nobody is left", lambda: who(vz) == [])


def test_the_past(vz: Vz) -> None:
    """last knows since when somebody is there, and when he left: also when the system went down below him."""
    vz.create(101, "--ipadd", "192.0.2.101", template="debian-12")
    vz.ctl("start", "101", "--wait")  # a login is recorded where the files are, which the boot makes
    child = entered(vz)
    assert inside(vz, "last | grep -c '^root .*still logged in'") == "1\n"
    assert inside(vz, "cat /proc/$(pgrep -xo bash)/loginuid; who -b | grep -c 'system boot'") == "01\n"
    ended(child)
    machine.until("a logout", lambda: "still" not in inside(vz, "last root"))
    assert inside(vz, "last root | grep -c ' - [0-9:]* *(00:0[0-9])'") == "1\n"
    child = entered(vz)
    vz.ctl("restart", "101")
    child.expect(pexpect.EOF)
    assert who(vz) == []
    rows = inside(vz, "last -x").splitlines()
    assert [row.split()[0] for row in rows if row][:-1].count("reboot") == 2
    assert [row for row in rows if row.startswith("shutdown")], rows
    assert "still logged in" not in inside(vz, "last root") and "gone" not in inside(vz, "last root")


def test_ssh(vz: Vz) -> None:
    """Beside a login by enter, on a terminal that one has had."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{vz.prefix}/key"], check=True)
    vz.start(101, "--ipadd", "192.0.2.101", "--sshkey", f"{vz.prefix}/key.pub", template="debian-12")
    command = (*SSH, "-i", f"{vz.prefix}/key", "root@192.0.2.101")
    machine.until("sshd answers", lambda: vz.run(*command, "true", check=None).code == 0)
    ended(entered(vz))
    machine.until("nobody is left", lambda: who(vz) == [])
    child = vz.spawn(*command)
    child.expect(PROMPT)
    assert inside(vz, "who | grep -c '(198.51.100.1)'") == "1\n" and len(who(vz)) == 1
    other = entered(vz)
    assert len(who(vz)) == 2
    ended(child)
    machine.until("one is left", lambda: len(who(vz)) == 1)
    ended(other)
    machine.until("nobody is left", lambda: who(vz) == [])
    machine.until("three logouts", lambda: inside(vz, "last root").count("(00:0") == 3)


@pytest.mark.parametrize("init", ["vz", "handoff"])
def test_debian_13_has_no_utmp_of_the_past(vz: Vz, init: str) -> None:
    """Its own tools ask logind, which the image does not have: nothing is made that the distribution dropped."""
    vz.start(101, "--init", init, template="debian-13")
    child = entered(vz)
    assert inside(vz, "who; ls /var/log/wtmp 2>&1; test ! -e /run/utmp || stat -c %a /run/utmp").splitlines() == [
        "ls: cannot access '/var/log/wtmp': No such file or directory", *(["664"] if init == "vz" else []),
    ]  # fmt: skip
    ended(child)


def test_a_hostile_utmp_keeps_nobody_out(vz: Vz) -> None:
    """A link, a FIFO, a file that somebody has locked, no file at all: a login works, and nothing else is written."""
    vz.start(101)
    for trap in (
        "rm /run/utmp /var/log/wtmp; ln -s /etc/hosts /run/utmp; mkfifo /var/log/wtmp",
        "rm /run/utmp /var/log/wtmp; mkfifo /run/utmp; ln -s /etc/hosts /var/log/wtmp",
        "rm /run/utmp /var/log/wtmp",
        ": >/run/utmp; (flock 9; sleep 1000) 9</run/utmp >/dev/null 2>&1 & sleep 0.2",
        "mkdir /run/u && rm /run/utmp && mv /run/u /run/utmp",
    ):
        before = inside(vz, f"{trap}; sha256sum </etc/hosts")
        ended(entered(vz))
        assert inside(vz, "sha256sum </etc/hosts") == before, trap
