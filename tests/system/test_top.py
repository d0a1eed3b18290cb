"""vztop on a terminal and into a file, with containers that do something."""

import os
import signal

import pexpect
import pytest

from tests.harness import machine
from tests.harness.installation import Vz

pytestmark = pytest.mark.system

SPIN = "while :; do :; done"


def test_into_a_file(vz: Vz) -> None:
    """The busiest first; what is down only if asked for."""
    for ctid in (101, 102):
        vz.start(ctid)
    vz.create(103)
    busy = vz.popen("vzctl", "exec2", "102", SPIN)
    machine.until("102 is busy and 101 has booted", lambda: busiest(vz) == ["102", "101"])
    everything = vz.run("vzctl", "top", "--all", "-b", "-d", "0.2", "--sort", "ctid", "-n", "2").stdout.splitlines()
    assert [line.split()[0] for line in everything[2:5]] == ["101", "102", "103"] and len(everything) == 10
    assert everything[4].split()[2] == "stopped"
    busy.kill()


def busiest(vz: Vz) -> list[str]:
    """Both containers, in the order of the list; fewer while one of them is as busy as the other."""
    summary, heading, *rows = vz.run("vztop", "-b", "-d", "1").stdout.splitlines()
    assert summary.startswith("2 of 2 containers run") and heading.split()[:4] == ["CTID", "NAME", "STATUS", "CPU%"]
    first, second = (row.split() for row in rows)
    assert float(first[3]) >= float(second[3])
    return [first[0], second[0]] if float(first[3]) > 10 > float(second[3]) else []


def test_live(vz: Vz) -> None:
    for ctid in (101, 102):
        vz.start(ctid)
    top = vz.spawn("vztop", "-d", "0.3", rows=24, cols=150)
    top.expect_exact("2 of 2 containers run")
    top.expect(r"101\s.*102\s")
    top.send("t\x1b[B\r")  # by number, the first of them, a shell in it
    top.expect_exact("entered into CT 101")
    top.sendline("echo in-$((1+1)); exit")
    top.expect_exact("in-2")
    top.expect_exact("exited from CT 101")
    top.expect_exact("2 of 2 containers run")
    top.send("S")
    top.expect_exact("stop CT 101? y or n")
    top.send("n")
    top.expect_exact("2 of 2 containers run")
    assert vz.status(101) == "exist mounted running"
    top.send("Sy")
    vz.wait_status(101, "exist unmounted down")
    top.expect_exact("1 of 1 containers run")
    top.send("a")
    top.expect_exact("1 of 2 containers run")
    top.expect("101.*stopped")
    top.send("q")
    top.expect(pexpect.EOF)
    top.wait()
    assert top.exitstatus == 0


def test_it_survives_a_daemon_that_is_replaced(vz: Vz) -> None:
    vz.start(101)
    top = vz.spawn("vztop", "-d", "0.2", rows=24, cols=150)
    top.expect_exact("1 of 1 containers run")
    vz.kill_daemon()
    machine.until("it goes on", lambda: vz.answers(101))
    top.expect_exact("1 of 1 containers run")
    top.send("q")
    top.expect(pexpect.EOF)


def test_signals_leave_the_terminal_as_it_was(vz: Vz) -> None:
    """A program that only ends leaves its picture, no cursor and no echo."""
    shown, gone = "\x1b[?1049h", "\x1b[?1049l"  # xterm's other screen
    top = vz.spawn("vztop", "-d", "60", rows=24, cols=150)
    top.expect_exact(shown)
    top.expect_exact("0 of 0 containers run")
    top.setwinsize(10, 100)
    top.expect_exact("0 of 0 containers run")  # at once
    top.send("\x1a")
    top.expect_exact(gone)
    machine.until("it is stopped", lambda: machine.read(f"/proc/{top.pid}/stat").rpartition(")")[2].split()[0] == "T")
    assert top.getecho()
    os.kill(top.pid, signal.SIGCONT)
    top.expect_exact(shown)
    top.expect_exact("0 of 0 containers run")
    assert not top.getecho()
    os.kill(top.pid, signal.SIGTERM)
    top.expect_exact(gone)
    top.expect(pexpect.EOF)
    top.wait()
    assert top.exitstatus == 143


def test_refusals(vz: Vz) -> None:
    assert "invalid number of seconds value: '0'" in vz.run("vztop", "-d", "0", check=2).stderr
    assert "invalid choice: 'colour'" in vz.run("vztop", "-s", "colour", check=2).stderr
    vz.run("mv", f"{vz.prefix}/etc/vz/vz.conf", f"{vz.prefix}/etc/vz/kept")
    vz.run("mkdir", f"{vz.prefix}/etc/vz/vz.conf")
    said = vz.run("vztop", "-b", check=1)
    assert said.stderr.startswith("vztop: ") and said.stderr.count("\n") == 1
