"""Login sessions and consoles of PID 1."""

import os
import re
import select
import signal
import socket
import time

import pytest

from hostd.container import last_words
from tests.harness.patience import patient
from tests.harness.pid1 import Frame, Pid1

pytestmark = pytest.mark.root
RING = 64 * 1024


def read_until(fd: int, pattern: str, timeout: float = 10.0) -> str:
    """What comes from *fd* up to and including *pattern*; AssertionError when it does not come."""
    text = b""
    until = time.monotonic() + patient(timeout)
    while not re.search(pattern.encode(), text):
        assert select.select([fd], [], [], max(0.0, until - time.monotonic()))[0], f"only {text!r}"
        part = os.read(fd, 65536)
        assert part, f"end after {text!r}"
        text += part
    return text.decode(errors="replace")


def enter(world: Pid1, name: str, argv: list[str] | None = None) -> Frame:
    answer = world.request("enter", id=name, term="vt100", rows=33, cols=77, argv=argv)
    assert answer.verb == "session", answer
    return answer


def test_enter(world: Pid1) -> None:
    """A login shell of root with a terminal of the right size, job control and Ctrl-C."""
    master = enter(world, "e").fds[0]
    os.write(master, b"stty size; tty; echo $0 $TERM $HOME; pwd\n")
    text = read_until(master, r"/root\r\n/root\r\n")
    assert "33 77" in text
    assert "/dev/pts/" in text
    assert "-sh vt100" in text
    os.write(master, b"echo now; sleep 100 && echo not reached\n")
    read_until(master, "\nnow\r\n")
    while "sleep 100" not in world.run("ps", "-o", "args")[1]:
        pass
    os.write(master, b"\x03")
    read_until(master, "# ")
    os.write(master, b"echo again $((6*7)); exit 5\n")
    assert "not reached\r" not in read_until(master, "again 42")
    assert world.ended("e")["code"] == "5"
    os.close(master)


def test_enter_runs_a_command(world: Pid1) -> None:
    master = enter(world, "c", argv=["sh", "-c", "tty; echo done"]).fds[0]
    assert "/dev/pts/" in read_until(master, "done")
    assert world.ended("c")["code"] == "0"
    os.close(master)


def test_two_sessions_do_not_meet(world: Pid1) -> None:
    masters = [enter(world, name).fds[0] for name in ("a", "b")]
    names = []
    for master in masters:
        os.write(master, b"tty; echo end\n")
        names.append(re.findall(r"/dev/pts/\d+", read_until(master, "\nend")))
        os.close(master)
    assert names[0] != names[1]
    assert world.ended("a")["signal"] == "1", "closing the terminal hangs up"
    assert world.ended("b")["signal"] == "1"


def test_hup(world: Pid1) -> None:
    master = enter(world, "h").fds[0]
    read_until(master, "#")
    assert world.request("hup", id="h").verb == "done"
    assert world.ended("h")["signal"] == "1"
    os.close(master)


def test_enter_without_the_shell(world: Pid1) -> None:
    answer = world.request("enter", id="x", term="dumb", argv=["/no/shell"])
    assert answer.verb == "error"
    assert "/no/shell" in answer["text"]
    assert world.request("enter", id="x", term="dumb", argv=["true"]).verb == "session", "the id is free again"


def tail_until(world: Pid1, text: str) -> str:
    """The ring buffer once it holds *text*: the kernel takes its time between the ends of a terminal."""
    until = time.monotonic() + patient(10)
    while text not in (data := world.request("tail")["data"]):
        assert time.monotonic() < until, data
    return data


def attach(world: Pid1, tty: int = 1) -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    answer = world.request("console", [theirs.fileno()], tty=tty)
    theirs.close()
    assert answer.verb == "done", answer
    return ours


def test_console_shows_what_was_written(world: Pid1) -> None:
    """What came before is kept; a viewer gets it, then a login prompt, and may type."""
    assert world.run("sh", "-c", "echo early bird > /dev/console")[0] == 0
    tail_until(world, "early bird")
    with attach(world) as viewer:
        read_until(viewer.fileno(), "early bird")
        read_until(viewer.fileno(), "login: ")
        viewer.sendall(b"somebody\r")
        read_until(viewer.fileno(), "Password")
    with attach(world) as viewer:
        assert "somebody" in read_until(viewer.fileno(), "Password"), "the next one sees it too"


def test_several_viewers(world: Pid1) -> None:
    with attach(world) as one, attach(world) as two:
        read_until(one.fileno(), "login: ")
        read_until(two.fileno(), "login: ")
        world.run("sh", "-c", "echo for both > /dev/console")
        read_until(one.fileno(), "for both")
        read_until(two.fileno(), "for both")


def test_ring_keeps_the_newest(world: Pid1) -> None:
    script = "i=0; while [ $i -lt 6000 ]; do echo line number $i of the flood; i=$((i+1)); done > /dev/console"
    assert world.run("sh", "-c", script)[0] == 0
    text = tail_until(world, "line number 5999 of the flood")
    assert len(text) <= RING
    assert text.rstrip().endswith("line number 5999 of the flood")
    assert os.fstat(world.words.fileno()).st_size <= 2 * RING + 4096


def test_the_host_reads_the_console_of_the_dead(world: Pid1) -> None:
    world.run("sh", "-c", "printf 'my\\033[1m last\\twords\\n\\n' > /dev/console")
    tail_until(world, "words")
    given = world.request("ring")
    assert given.verb == "ring"
    assert os.fstat(given.fds[0]) == os.fstat(world.words.fileno()), "the very file of the host"
    os.close(given.fds[0])
    os.kill(world.pid, signal.SIGKILL)
    world.wait()
    assert r"my\x1b[1m last words" in last_words.lines(world.words, 2), "unshare(1) complains last"


def test_nothing_inside_inherits_the_ring(world: Pid1) -> None:
    assert "memfd" not in world.run("sh", "-c", "ls -l /proc/self/fd")[1]


def test_slow_viewer_blocks_nobody(world: Pid1) -> None:
    """A viewer that never reads: the writer goes on, PID 1 answers, another viewer sees the end."""
    with attach(world), attach(world) as reader:
        script = "i=0; while [ $i -lt 20000 ]; do echo a line that nobody reads $i; i=$((i+1)); done > /dev/console"
        assert world.run("sh", "-c", script)[0] == 0
        assert world.request("ping").verb == "pong"
        read_until(reader.fileno(), "nobody reads 19999")


def test_typing_into_a_terminal_that_nobody_reads(world: Pid1) -> None:
    """More input than a terminal takes: PID 1 answers all the same."""
    with attach(world, tty=9) as viewer:
        read_until(viewer.fileno(), "login: ")
        viewer.setblocking(False)
        try:
            for _ in range(100):
                viewer.send(b"x" * 1000)
        except BlockingIOError:
            pass
        assert world.request("ping").verb == "pong"


def test_other_terminals_on_demand(world: Pid1) -> None:
    assert "tty3" not in world.run("ls", "/dev")[1]
    with attach(world, tty=3) as viewer:
        read_until(viewer.fileno(), "login: ")
        assert world.run("readlink", "/dev/tty3")[1].startswith("/dev/pts/")
        assert world.run("sh", "-c", "echo hello 3 > /dev/tty3")[0] == 0
        read_until(viewer.fileno(), "hello 3")
    assert "hello 3" not in world.request("tail", tty=1)["data"]


def test_quiesce_closes_viewers(world: Pid1) -> None:
    with attach(world) as viewer:
        read_until(viewer.fileno(), "login: ")
        assert world.request("quiesce").verb == "quiet"
        viewer.settimeout(patient(10))
        while viewer.recv(4096):
            pass
