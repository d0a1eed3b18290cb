"""spawn() when something is wrong: the error names it, nothing is left, nobody waits for a dead daemon."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from hostd.kernel.fd import Fd
from hostd.kernel.mount import MountAttr, is_mounted
from hostd.kernel.spawn import PROC, ChildMount
from hostd.kernel.stage import Stage
from tests.root.kernel_box import TIMEOUT, Box, new_root, run, values

pytestmark = pytest.mark.root

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    ("changes", "syscall", "subject"),
    [
        ({"mounts": (ChildMount("proc", "nowhere"),)}, "openat2", "/nowhere"),
        ({"mounts": (ChildMount("nofs", "proc"),)}, "fsopen", "/proc"),
        ({"mounts": (ChildMount("tmpfs", "proc", {"size": "big"}),)}, "fsconfig", "/proc"),
        ({"mounts": (ChildMount("tmpfs", "proc", attrs=MountAttr(1 << 30)),)}, "fsmount", "/proc"),
        ({"drop_caps": (63,)}, "prctl", "capability 63"),
        ({"seccomp": b"\xff" * 8}, "seccomp", "box"),
        ({"argv": ("/nothing",)}, "execve", "/nothing"),
        ({"argv": ("/proc",)}, "execve", "/proc"),
        ({"hostname": "h" * 65}, "sethostname", "h" * 65),
        ({"uid_base": (1 << 32) - 10}, "write", "box"),
        ({"submounts": ()}, "openat2", "/dev/mqueue"),
        ({"submounts": (), "mounts": ()}, "open", "/dev/null"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_error_names_call_and_subject(
    stage: Stage, changes: dict[str, Any], syscall: str, subject: str
) -> None:
    before = open_fds()
    with pytest.raises(OSError) as caught:
        Box(stage, "ids", **changes)
    assert caught.value.strerror is not None
    assert caught.value.strerror.startswith(f"{syscall}: ")
    assert caught.value.filename == subject
    assert caught.value.errno
    del caught
    assert open_fds() == before


def test_a_cgroup_that_cannot_be_joined_is_named(stage: Stage) -> None:
    with Fd.open("/dev/null", os.O_RDONLY) as tasks, pytest.raises(OSError) as caught:
        Box(stage, "ids", join=(tasks,))
    assert (caught.value.errno, caught.value.filename) == (9, "/dev/null")


@pytest.mark.parametrize("link", ["/etc", "/", "../../..", "dev"])
def test_a_root_with_links_for_mount_points_is_refused(stage: Stage, link: str) -> None:
    root = new_root()
    os.rmdir("proc", dir_fd=root.fileno())
    os.symlink(link, "proc", dir_fd=root.fileno())
    with pytest.raises(OSError, match="/proc") as caught:
        Box(stage, "ids", root=root)
    assert caught.value.errno == 40  # ELOOP
    assert not is_mounted("/etc")


def test_missing_parts_of_proc_are_skipped(stage: Stage) -> None:
    mount = ChildMount("proc", "proc", read_only=("not-there", "sys"), writable=("sys/not-there",))
    assert values(run(stage, "ids", mounts=(mount,)))["pid"] == "1"


def test_spawns_from_many_threads_do_not_mix(stage: Stage) -> None:
    names = [f"box{number}" for number in range(12)]
    found: dict[str, str] = {}

    def one(name: str) -> None:
        found[name] = values(run(stage, "ids", hostname=name, mounts=(PROC,)))["host"]

    threads = [threading.Thread(target=one, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {name: name for name in names}


def start(script: str, fd: int) -> "subprocess.Popen[bytes]":
    """A daemon of its own, with *fd* as its first argument."""
    command = [sys.executable, "-c", script, str(fd)]
    environment = {**os.environ, "PYTHONPATH": CHECKOUT}
    return subprocess.Popen(command, pass_fds=[fd], stdout=subprocess.PIPE, cwd=CHECKOUT, env=environment)


ENDLESS = """
import sys
from hostd.kernel.fd import Fd
from hostd.kernel.stage import Stage
from tests.root.kernel_box import new_dev, new_root, payload, plan_of
stage = Stage()
channel = Fd(int(sys.argv[1]))
payload()
print("ready", flush=True)
while True:
    with new_root() as root, new_dev() as dev:
        plan = plan_of(root, channel, ("wait",), below=((dev, "dev"),), mounts=())
        stage.spawn(plan).result().close()
"""


@pytest.mark.parametrize("delay_us", range(500, 6500, 500))
def test_a_killed_daemon_leaves_no_child_at_the_gate(delay_us: int) -> None:
    """Whatever the child was doing: it either ends, or runs its program, which ends with the channel."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            daemon = start(ENDLESS, theirs.fileno())
        assert daemon.stdout is not None
        with daemon.stdout:
            daemon.stdout.readline()
            signal.sigtimedwait([], delay_us / 1e6)
            daemon.kill()
            daemon.wait()
        ours.settimeout(TIMEOUT)
        ours.shutdown(socket.SHUT_WR)  # the programs that run read this as their end
        while ours.recv(65536):
            pass  # until the last holder of the other end is gone


SIBLING = """
import os, sys
from hostd.kernel.stage import Stage
from hostd.kernel.fd import Fd
from tests.root.kernel_box import new_dev, new_root, plan_of
with new_root() as root, new_dev() as dev:
    plan = plan_of(root, Fd(int(sys.argv[1])), ("exit", "7"), below=((dev, "dev"),), parent=True)
    process = Stage().spawn(plan).result()
print(process.pid, flush=True)
"""


def test_with_parent_the_child_is_our_parents() -> None:
    with Fd.open("/dev/null", os.O_RDWR) as null:
        daemon = start(SIBLING, null.fileno())
        answer, _ = daemon.communicate()
    WALL = 0x40000000  # __WALL: exit signal 0 is not SIGCHLD
    status = os.waitid(os.P_PID, int(answer), os.WEXITED | WALL)
    assert status is not None
    assert (status.si_code, status.si_status) == (os.CLD_EXITED, 7)
