"""INIT=handoff: the image's own init is PID 1, and the agent beside it is what vzinit was for the host."""

import errno
import os
import signal

import pytest

from tests.harness import machine
from tests.harness.pid1 import Pid1, busybox_root, pid1

pytestmark = pytest.mark.root

INITTAB = """\
::sysinit:/bin/sh -c "echo up >/run/up; echo hello from init"
::shutdown:/bin/sh -c "echo down >/down"
"""


@pytest.fixture
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tree of its own for each test: some damage it."""
    return busybox_root(str(tmp_path_factory.mktemp("busybox")))


def hand_over(world: Pid1) -> None:
    world.greet()
    assert world.request("go", init="handoff").verb == "ready"
    world.expect("running")


def init_of(world: Pid1) -> str:
    return os.path.basename(world.run("readlink", "/proc/1/exe")[1].strip())


def agent_of(world: Pid1) -> str:
    """Its number inside: the parent of what it runs."""
    return world.run("sh", "-c", "echo $PPID")[1].strip()


@pytest.mark.parametrize(
    ("how", "end"), [("halt", signal.SIGINT), ("poweroff", signal.SIGINT), ("reboot", signal.SIGHUP)]
)
def test_a_whole_life(root: str, how: str, end: int) -> None:
    with pid1(root, {"/etc/inittab": INITTAB}) as world:
        hand_over(world)
        assert init_of(world) == "busybox"
        machine.until("the init has begun", lambda: world.run("cat", "/run/up") == (0, "up\n"))
        assert world.run("sh", "-c", "exit 7")[0] == 7
        assert agent_of(world) != "1"
        machine.until("it is on the console", lambda: "hello from init" in world.request("tail")["data"])
        assert world.request("stop", how=how, timeout=20).verb == "done"
        assert world.wait() == -end
    assert machine.read(f"{root}/down") == "down\n", "it was not asked, but killed"


def test_only_when_the_services_may_start(root: str) -> None:
    with pid1(root) as world:
        world.greet()
        assert world.request("go", init="handoff", services="later").verb == "ready"
        assert init_of(world) == "vzinit"
        assert world.request("services").verb == "done"
        assert init_of(world) == "busybox"


def test_a_session_from_before_ends_like_any_other(root: str) -> None:
    """It is a child of the init's by then; the agent sees that it ends, and a checkpoint can be made."""
    with pid1(root) as world, open("/dev/null", "r+b") as null:
        world.greet()
        world.request("go", init="handoff", services="later")
        for name, command in (("short", "until test -e /go; do sleep 0.1; done; exit 3"), ("long", "sleep 4321")):
            world.send("exec", [null.fileno()] * 3, id=name, argv=["/bin/sh", "-c", command])
            world.expect("started", id=name)
        assert world.request("services").verb == "done"
        assert init_of(world) == "busybox"
        assert world.run("touch", "/go")[0] == 0
        assert world.expect("ended", id="short")["code"] == "255"
        assert world.request("quiesce").verb == "quiet"
        world.request("resume")
        assert world.expect("ended", id="long")["code"] == "255"
        agent = agent_of(world)
        assert "pidfd" not in world.run("ls", "-l", f"/proc/{agent}/fd")[1], "what a checkpoint cannot save"


def test_never_for_a_setup(root: str) -> None:
    with pid1(root) as world:
        world.greet()
        assert world.request("go", init="handoff", services="no").verb == "ready"
        assert init_of(world) == "vzinit"
        assert world.request("stop", how="halt", timeout=20).verb == "done"
        assert world.wait() == -signal.SIGINT


def test_an_image_without_an_init(root: str) -> None:
    os.unlink(f"{root}/bin/init")
    with pid1(root) as world:
        world.greet()
        answer = world.request("go", init="handoff")
        assert (answer.verb, answer["errno"]) == ("error", str(errno.ENOENT))
        assert answer["text"] == "the image has no init: none of /sbin/init, /etc/init, /bin/init"


def test_an_init_that_cannot_be_executed(root: str) -> None:
    os.unlink(f"{root}/bin/init")
    with open(f"{root}/bin/init", "w") as file:
        file.write("#!/no/such/interpreter\n")
    os.chmod(f"{root}/bin/init", 0o755)
    with pid1(root) as world:
        world.greet()
        answer = world.request("go", init="handoff")
        assert (answer.verb, answer["errno"]) == ("error", str(errno.ENOENT))
        assert answer["text"] == "/sbin/init: No such file or directory"


def test_the_agent_is_in_nobodys_way(root: str) -> None:
    """An init that ends everybody on its way down waits for nothing that does not heed SIGTERM."""
    with pid1(root) as world:
        hand_over(world)
        agent = agent_of(world)
        with open("/dev/null", "r+b") as null:
            world.send("exec", [null.fileno()] * 3, id="kill", argv=["/bin/kill", "-TERM", agent])
        with pytest.raises((EOFError, ConnectionResetError)):
            while True:
                world.receive()
        assert world.process.poll() is None, "PID 1 goes on"


def test_a_second_go_is_refused(root: str) -> None:
    with pid1(root) as world:
        hand_over(world)
        assert world.request("go", init="handoff").verb == "error"
        assert world.request("stop", how="sideways").verb == "error"
        assert world.run("true") == (0, "")
