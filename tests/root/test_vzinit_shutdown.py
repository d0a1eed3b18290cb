"""The ways down: asked by the host, asked from inside, by force."""

import os
import signal
import time

import pytest

from tests.harness.guest import script, start, unit, write
from tests.harness.pid1 import busybox_root, pid1

pytestmark = pytest.mark.root
PATH = "PATH=/bin"


@pytest.fixture
def root(tmp_path: "os.PathLike[str]") -> str:
    return busybox_root(str(tmp_path))


def test_stuck_service_is_killed_in_time(root: str) -> None:
    """A service that ignores SIGTERM, and one whose stop command hangs, delay the way down no longer than allowed."""
    deaf = "trap '' TERM HUP; while :; do sleep 0.1; done"
    write(root, {
        "/etc/deaf": script(deaf),
        **unit("deaf.service", "[Service]\nExecStart=/etc/deaf\nTimeoutStopSec=500ms\n"),
        **unit("slow.service", "[Service]\nExecStart=/bin/sleep 1000\nExecStop=/bin/sleep 1000\n"
                               "TimeoutStopSec=500ms\n"),
    })  # fmt: skip
    with pid1(root) as world:
        start(world)
        begin = time.monotonic()
        world.request("stop", how="reboot", timeout=90)
        null = os.open("/dev/null", os.O_RDWR)
        assert world.request("exec", [null] * 3, id="late", argv=["true"]).verb == "error"
        assert world.request("stop", how="halt", timeout=1).verb == "error"
        os.close(null)
        world.expect("bye", how="reboot")
        assert world.wait() == -signal.SIGHUP
        assert time.monotonic() - begin < 60


def test_the_end_is_recorded_however_near_it_is(root: str) -> None:
    """By a child, which the signals to everybody must not end before it has begun."""
    write(root, {"/var/log/wtmp": ""})
    with pid1(root) as world:
        start(world)
        world.request("stop", how="halt", timeout=90)
        world.expect("bye", how="halt")
        world.wait()
    with open(f"{root}/var/log/wtmp", "rb") as file:
        assert b"shutdown" in file.read()


def test_deadline_of_the_stop(root: str) -> None:
    """The host's timeout is the end, whatever services and processes want."""
    deaf = script("trap '' TERM HUP; while :; do sleep 0.1; done")
    write(root, {"/etc/deaf": deaf, **unit("deaf.service", "[Service]\nExecStart=/etc/deaf\n")})
    with pid1(root) as world:
        start(world)
        begin = time.monotonic()
        world.request("stop", how="halt", timeout=4)
        world.expect("bye", how="halt")
        world.wait()
        assert time.monotonic() - begin < 60


@pytest.mark.parametrize(
    ("command", "how", "status"),
    [("reboot", "reboot", -signal.SIGHUP), ("halt", "halt", -signal.SIGINT), ("poweroff", "poweroff", -signal.SIGINT),
     ("kill -INT 1", "reboot", -signal.SIGHUP), ("kill -PWR 1", "poweroff", -signal.SIGINT),
     ("kill -37 1", "halt", -signal.SIGINT), ("kill -38 1", "poweroff", -signal.SIGINT),
     ("kill -39 1", "reboot", -signal.SIGHUP), ("/.vz/bin/telinit 6", "reboot", -signal.SIGHUP),
     ("/.vz/bin/telinit 0", "poweroff", -signal.SIGINT)],
)  # fmt: skip
def test_ways_down_from_inside(root: str, command: str, how: str, status: int) -> None:
    with pid1(root) as world:
        world.boot()
        null = os.open("/dev/null", os.O_RDWR)
        world.request("exec", [null] * 3, id="x", argv=["sh", "-c", command], env=[PATH])
        os.close(null)
        world.expect("bye", how=how)
        assert world.wait() == status


def test_reboot_by_force(root: str) -> None:
    """`reboot -f` asks nobody: the wait status alone tells."""
    with pid1(root) as world:
        world.boot()
        null = os.open("/dev/null", os.O_RDWR)
        world.send("exec", [null] * 3, id="x", argv=["reboot", "-f"], env=[PATH])
        os.close(null)
        assert world.wait() == -signal.SIGHUP


def test_harmless_signals_and_requests(root: str) -> None:
    """Nothing that is not a request for a stop ends PID 1."""
    with pid1(root) as world:
        world.boot()
        for number in (1, 3, 6, 11, 13, 14, 17, 18, 19, 20, 28):
            world.run("kill", f"-{number}", "1")
        world.run("kill", "-9", "1")
        for argument in ("2", "q", "u", "S"):
            assert world.run("/.vz/bin/telinit", argument)[0] == 0
        assert world.run("/.vz/bin/telinit", "7")[0] == 1
        assert world.run("sh", "-c", "echo garbage >/run/initctl")[0] == 0
        assert world.request("ping").verb == "pong"
        world.run("kill", "-9", "-1")
        assert world.request("ping").verb == "pong"


def test_the_runtime_is_unmounted(root: str) -> None:
    """A guest that takes /.vz away loses nothing of PID 1: all of it is in the one program that runs."""
    write(root, unit("cat.service", "[Service]\nExecStart=/bin/sleep 1000\nExecStop=/bin/touch /tmp/stopped\n"))
    with pid1(root) as world:
        start(world)
        assert world.run("umount", "-l", "/.vz") == (0, "")
        assert world.run("ls", "/.vz") == (0, ""), "it is really gone"
        assert world.run("echo", "still", "here") == (0, "still here\n")
        null = os.open("/dev/null", os.O_RDWR)
        assert world.request("exec", [null] * 3, id="user", argv=["true"], uid=1000, gid=1000).verb == "started"
        os.close(null)
        assert world.request("enter", id="shell", term="dumb", argv=["true"]).verb == "session"
        world.ended("shell")
        assert world.request("ping").verb == "pong"
        world.request("stop", how="reboot", timeout=20)
        world.expect("bye", how="reboot")
        assert world.wait() == -signal.SIGHUP
    assert os.path.exists(f"{root}/tmp/stopped")
