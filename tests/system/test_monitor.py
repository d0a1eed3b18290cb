"""vzctl monitor: what is told of containers, and when."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from queue import Empty, Queue

import pytest

from hostd.config import files
from tests.harness import machine
from tests.harness.action_scripts import lasting
from tests.harness.installation import TIMEOUT, Vz
from tests.harness.needs import CHECKPOINTS, needs
from tests.harness.stresses import HOG

pytestmark = pytest.mark.system

Event = dict[str, object]


class Monitor:
    """vzctl monitor in the background, and what it has said."""

    def __init__(self, vz: Vz, *argv: str) -> None:
        self.process: subprocess.Popen[str] = vz.popen("vzctl", "monitor", *argv)
        self._lines: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def next(self, *ignored: str) -> Event:
        """The next event that is none of *ignored*."""
        while True:
            try:
                event: Event = json.loads(self._lines.get(timeout=TIMEOUT))
            except Empty:
                raise AssertionError("nothing was told") from None
            if event["event"] not in ignored:
                return event

    def tells(self, event: str, ctid: int, *ignored: str) -> Event:
        found = self.next(*ignored)
        assert (found["event"], found["ctid"]) == (event, ctid), found
        return found


@pytest.fixture
def monitor(vz: Vz) -> Iterator[Monitor]:
    vz.create(101)
    vz.ctl("start", "101")  # and so hostd answers
    monitor = Monitor(vz)
    listens(vz)
    yield monitor


def listens(vz: Vz) -> None:
    """Until the monitor is heard: it says nothing of that itself."""
    machine.until("somebody listens", lambda: waits(vz))


def waits(vz: Vz) -> bool:
    """The alarm of a monitor is an epoll beside those of the event loop and of the log."""
    return machine.descriptors(vz.daemon_pid).count("anon_inode:[eventpoll]") >= 3


def test_the_life_of_a_container(vz: Vz, monitor: Monitor) -> None:
    before = vz.uptime_clock(101)
    vz.ctl("exec2", "101", "reboot", check=None)
    vz.wait_reboot(101, before)
    event = monitor.tells("reboot", 101)
    assert set(event) == {"time", "ctid", "event"} and str(event["time"])[10] == "T"
    vz.ctl("stop", "101")
    monitor.tells("stop", 101)
    vz.ctl("start", "101")
    monitor.tells("start", 101)
    vz.ctl("exec2", "101", "halt", check=None)
    monitor.tells("stop", 101)
    vz.wait_status(101, "exist unmounted down")
    vz.ctl("start", "101")
    monitor.tells("start", 101)
    os.kill(vz.init_pid(101), 9)
    assert monitor.tells("died", 101)["why"] == "killed by signal 9"


def told_as_counted(vz: Vz, monitor: Monitor, which: str) -> None:
    """The next refusal is one of *which*, and vzlist knows of it."""
    event = monitor.tells("limit", 101)
    assert event["which"] == which
    assert 0 < int(str(event["failcnt"])) <= int(vz.vzlist("-Ho", f"{which}.f", "101"))


def test_limits_and_the_oom_killer(vz: Vz, monitor: Monitor) -> None:
    vz.ctl("set", "101", "--numproc", "12")
    vz.ctl("exec2", "101", "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1000 & done", check=None)
    told_as_counted(vz, monitor, "numproc")
    vz.ctl("set", "101", "--numproc", "200", "--ram", "32M", "--swap", "0")
    vz.ctl("exec2", "101", HOG, check=None)
    told: dict[str, Event] = {}
    while not {"oom", "physpages"} <= set(told):
        event = monitor.next()
        told[str(event.get("which") or event["event"])] = event
    assert int(str(told["oom"]["killed"])) >= 1 and int(str(told["physpages"]["failcnt"])) >= 1


def test_what_was_refused_last_is_told_before_the_end(vz: Vz, monitor: Monitor) -> None:
    """The first look at a container is told nothing new; the second would be a second later."""
    vz.ctl("set", "101", "--numproc", "12")
    forks = "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1000 & done"
    vz.ctl("exec2", "101", forks, check=None)
    told_as_counted(vz, monitor, "numproc")
    vz.ctl("exec2", "101", forks, check=None)
    os.kill(vz.init_pid(101), 9)
    told_last = monitor.tells("limit", 101)
    assert told_last["which"] == "numproc"
    monitor.tells("died", 101, "limit")


def test_a_stop_is_told_once(vz: Vz, monitor: Monitor) -> None:
    """It halts, and while it is cleared away somebody stops it as well."""
    script = lasting(vz, "101.umount")
    vz.popen("vzctl", "exec", "101", "halt -f")
    machine.until("it has ended", lambda: vz.status(101) == "exist mounted down")
    stop = vz.popen("vzctl", "stop", "101")
    with pytest.raises(subprocess.TimeoutExpired):
        stop.wait(0.5)
    os.unlink(script)
    assert stop.wait(TIMEOUT) == 0
    vz.ctl("start", "101")
    monitor.tells("stop", 101)
    monitor.tells("start", 101)


def test_what_came_about_is_told_though_the_command_failed(vz: Vz, monitor: Monitor) -> None:
    vz.ctl("exec2", "101", "ln -s /etc /root/.ssh")
    files.replace(f"{vz.paths.conf_dir}/101.postumount", "#!/bin/sh\nexit 1\n", mode=0o755)
    said = vz.ctl("stop", "101", check=None)
    assert said.code and vz.status(101) == "exist unmounted down"
    monitor.tells("stop", 101)
    vz.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{vz.prefix}/key")
    said = vz.ctl("start", "101", "--sshkey", f"{vz.prefix}/key.pub", check=None)
    assert said.code and vz.status(101) == "exist mounted running"
    monitor.tells("start", 101)


@needs("socket-limits")
def test_limits_of_sockets(vz: Vz, monitor: Monitor) -> None:
    vz.ctl("set", "101", "--numtcpsock", "0")
    vz.ctl("exec2", "101", "nc -l -p 7001", check=None)
    told_as_counted(vz, monitor, "numtcpsock")


@CHECKPOINTS
def test_suspended_and_restored(vz: Vz, monitor: Monitor) -> None:
    vz.ctl("chkpnt", "101")
    monitor.tells("suspended", 101)
    vz.ctl("restore", "101")
    monitor.tells("restored", 101)


def test_of_one_container_alone(vz: Vz) -> None:
    for ctid in (101, 102):
        vz.create(ctid)
    vz.ctl("set", "102", "--name", "web", "--save")
    one = Monitor(vz, "web")
    listens(vz)
    vz.ctl("start", "101")
    vz.ctl("start", "102")
    one.tells("start", 102)


def test_pressure_when_it_is_asked_for(vz: Vz, monitor: Monitor) -> None:
    if not os.path.exists("/proc/pressure/cpu"):
        assert "this kernel tells no pressure" in vz.ctl("monitor", "--pressure", "1", check=5).stderr
        return
    pressing = Monitor(vz, "--pressure", "0.2")
    first, second = pressing.tells("pressure", 101), pressing.tells("pressure", 101)
    for event in (first, second):
        assert set(event) == {"time", "ctid", "event", "cpu", "memory", "io"}
        assert set(event["cpu"]["some"]) == {"avg10", "avg60", "avg300", "total"}  # type: ignore[index]
    vz.ctl("stop", "101")
    assert monitor.next()["event"] == "stop"  # nobody else hears of it


def test_its_end(vz: Vz, monitor: Monitor) -> None:
    """By a signal, by nobody reading, by the end of hostd; and then nothing is left of it."""
    assert waits(vz)
    monitor.process.terminate()
    assert monitor.process.wait(TIMEOUT) == 128 + 15
    machine.until("nobody listens", lambda: not waits(vz))
    killed = Monitor(vz)
    listens(vz)
    killed.process.kill()
    machine.until("nobody listens", lambda: not waits(vz))
    if os.path.exists("/proc/pressure/cpu"):
        assert vz.run("sh", "-c", "vzctl monitor --pressure 0.2 | head -n 1").stdout.startswith('{"time":')
        machine.until("nobody listens", lambda: not waits(vz))
    last = Monitor(vz)
    listens(vz)
    vz.stop_hostd()
    assert last.process.wait(TIMEOUT) == 3
    assert last.process.stderr is not None and "hostd ends" in last.process.stderr.read()


def test_what_cannot_be_listened_to(vz: Vz) -> None:
    vz.create(101)
    assert vz.ctl("monitor", "frob", check=21).stderr == "Bad CT ID frob\n"
    assert "Bad parameter for --pressure: often" in vz.ctl("monitor", "--pressure", "often", check=21).stderr
    vz.ctl("monitor", "--frob", check=20)
