"""What PID 1 starts by itself: inittab, init scripts, units; and the ways down."""

import os
import signal
import time
from collections.abc import Mapping

import pytest

from tests.harness.pid1 import Pid1, busybox_root, pid1

pytestmark = pytest.mark.root

UNITS = "/etc/systemd/system"
WANTS = f"{UNITS}/multi-user.target.wants"
TARGET = {f"{UNITS}/multi-user.target": "[Unit]\nDescription=x\n"}
PATH = "PATH=/bin"


@pytest.fixture
def root(tmp_path: "os.PathLike[str]") -> str:
    return busybox_root(str(tmp_path))


def script(text: str) -> str:
    return "#!/bin/sh\n" + text


def write(root: str, files: Mapping[str, str]) -> None:
    """Files below *root*; scripts become executable; a text `-> TARGET` makes a symlink."""
    for path, text in files.items():
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        if text.startswith("-> "):
            os.symlink(text[3:], root + path)
            continue
        with open(root + path, "w") as file:
            file.write(text)
        if text.startswith("#!"):
            os.chmod(root + path, 0o755)


def unit(name: str, text: str, **more: str) -> dict[str, str]:
    """A unit that multi-user.target wants."""
    return {f"{UNITS}/{name}": text, f"{WANTS}/{name}": f"-> ../{name}", **TARGET, **more}


def read(root: str, path: str) -> str:
    with open(root + path) as file:
        return file.read()


def wait_for(root: str, path: str, text: str, timeout: float = 10.0) -> None:
    """Until *path* holds *text*."""
    until = time.monotonic() + timeout
    while not (os.path.exists(root + path) and text in read(root, path)):
        assert time.monotonic() < until, read(root, path) if os.path.exists(root + path) else f"no {path}"
        time.sleep(0.01)


def boot(world: Pid1) -> list[str]:
    """Start; answers the services that failed."""
    world.greet()
    world.request("go")
    return world.expect("running").fields.get("failed", [])


def test_busybox_inittab(root: str) -> None:
    """sysinit before wait before once; respawn again and again; shutdown lines at the end."""
    write(root, {
        "/etc/inittab": "::sysinit:/etc/first\n::wait:echo wait >>/tmp/log\n::once:/bin/sh -c 'echo once >>/tmp/log'\n"
                        "null::respawn:/etc/again\n::askfirst:-/bin/sh\ntty1::respawn:/bin/getty 0 tty1\n"
                        "::shutdown:/etc/last\n# ::once:/etc/comment\n",
        "/etc/first": script("sleep 0.1; echo first >>/tmp/log"),
        "/etc/again": script("echo again >>/tmp/again; exec sleep 1000"),
        "/etc/last": script("echo last >>/tmp/log"),
    })  # fmt: skip
    with pid1(root) as world:
        assert boot(world) == []
        wait_for(root, "/tmp/log", "once")
        assert read(root, "/tmp/log") == "first\nwait\nonce\n"
        wait_for(root, "/tmp/again", "again\n")
        world.run("sh", "-c", "kill -9 $(ps -o pid,args | grep '[s]leep 1000' | (read pid rest; echo $pid))")
        wait_for(root, "/tmp/again", "again\nagain\n")
        assert "getty" not in world.run("ps")[1], "a prompt waits for a viewer"
        world.request("stop", how="halt", timeout=10)
        assert world.wait() == -signal.SIGINT
    assert read(root, "/tmp/log").endswith("once\nlast\n")


def test_sysvinit_inittab(root: str) -> None:
    """The rc scripts are the host's business; lines of runlevel 2 run, others do not."""
    write(root, {
        "/etc/inittab": "id:2:initdefault:\nsi::sysinit:/etc/init.d/rcS\nl2:2:wait:/etc/init.d/rc 2\n"
                        "aa:2345:once:/etc/yes\nbb:345:once:/etc/no\nz6:6:respawn:/sbin/sulogin\n"
                        "1:2345:respawn:/sbin/getty 38400 tty1\nca:12345:ctrlaltdel:/etc/no\n",
        "/etc/init.d/rcS": script("touch /tmp/rcS"), "/etc/init.d/rc": script("touch /tmp/rc"),
        "/etc/yes": script("touch /tmp/yes"), "/etc/no": script("touch /tmp/no"),
    })  # fmt: skip
    with pid1(root) as world:
        assert boot(world) == []
        wait_for(root, "/tmp/yes", "")
    assert sorted(set(os.listdir(f"{root}/tmp")) & {"rcS", "rc", "yes", "no"}) == ["yes"]


def test_init_scripts_in_order(root: str) -> None:
    """S links by number, stopped in reverse order; a unit of the same name comes first."""
    body = script('name=${0##*/}\necho "$name $1" >>/tmp/log\n')
    write(root, {
        "/etc/init.d/one": body, "/etc/init.d/two": body, "/etc/init.d/three": body, "/etc/init.d/bad": script("exit 3"),
        "/etc/rc2.d/S01three": "-> ../init.d/three", "/etc/rc2.d/S03one": "-> ../init.d/one",
        "/etc/rc2.d/S02two": "-> ../init.d/two", "/etc/rc2.d/K01one": "-> ../init.d/one",
        "/etc/rc2.d/S04bad": "-> ../init.d/bad",
        **unit("three.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo three unit >>/tmp/log'\n"),
    })  # fmt: skip
    with pid1(root) as world:
        assert boot(world) == ["bad"]
        assert sorted(read(root, "/tmp/log").splitlines()) == ["one start", "three unit", "two start"]
        world.request("stop", how="poweroff", timeout=10)
        world.wait()
    assert read(root, "/tmp/log").splitlines()[-2:] == ["one stop", "two stop"]


def test_notify_service(root: str) -> None:
    """Type=notify counts as started at READY=1, sent from below the main process."""
    send = (
        "import _socket, posix\n"
        "s = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)\n"
        "s.connect(posix.environ[b'NOTIFY_SOCKET'])\n"
        "s.send(b'STATUS=x\\nREADY=1')\n"
    )
    write(root, {
        "/etc/send.py": send,
        "/etc/daemon": script("sleep 0.3; echo ready >>/tmp/log; /.vz/bin/vzinit -IS /etc/send.py; exec sleep 1000"),
        **unit("n.service", "[Service]\nType=notify\nExecStart=/etc/daemon\n"),
        **unit("after.service", "[Unit]\nAfter=n.service\n[Service]\nType=oneshot\n"
                                "ExecStart=/bin/sh -c 'echo after >>/tmp/log'\n"),
    })  # fmt: skip
    with pid1(root) as world:
        assert boot(world) == []
        assert read(root, "/tmp/log") == "ready\nafter\n"


def test_forking_service_with_pid_file(root: str) -> None:
    """The process of the PID file is the service: its end is noticed, at the stop it is ended."""
    write(root, {
        "/etc/daemon": script("(trap 'echo term >>/tmp/log; exit 0' TERM; while :; do sleep 0.05; done) &\n"
                              "echo $! >/run/d.pid; echo start >>/tmp/log"),
        **unit("d.service", "[Service]\nType=forking\nPIDFile=/run/d.pid\nExecStart=/etc/daemon\nRestart=on-failure\n"),
    })  # fmt: skip
    with pid1(root) as world:
        assert boot(world) == []
        world.run("sh", "-c", "kill -9 $(cat /run/d.pid)")
        wait_for(root, "/tmp/log", "start\nstart\n")
        world.request("stop", how="halt", timeout=10)
        world.wait()
    assert read(root, "/tmp/log") == "start\nstart\nterm\n"


def test_unit_environment(root: str) -> None:
    """Environment, files, $VARIABLES, user, directories, prefixes, umask."""
    write(root, {
        "/etc/default/e": "FROM_FILE='two words'\n# comment\nEMPTY=\n",
        "/etc/show": script('echo "$@" >>/tmp/log; id -un >>/tmp/log; umask >>/tmp/log; echo "$HOME $D" >>/tmp/log'),
        "/tmp/log": "",
        **unit("e.service", "[Service]\nType=oneshot\nUser=user\nUMask=0027\nRuntimeDirectory=e/deep\n"
               "RuntimeDirectoryMode=0750\nEnvironment=A=1 \"D=a b\"\nEnvironmentFile=-/etc/default/missing\n"
               "EnvironmentFile=/etc/default/e\nExecStartPre=-/bin/false\nExecStart=/etc/show $FROM_FILE ${FROM_FILE} x$$y \\\n"
               "   %p ${A}%%\n"),
    })  # fmt: skip
    os.chmod(f"{root}/tmp/log", 0o666)
    with pid1(root) as world:
        assert boot(world) == []
        assert read(root, "/tmp/log").splitlines() == ["two words two words x$y e 1%", "user", "0027", "/tmp a b"]
        assert world.run("stat", "-c", "%U %a", "/run/e/deep")[1] == "user 750\n"


def test_failed_services_are_told(root: str) -> None:
    files = {
        **unit("bad.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n"),
        **unit("missing.service", "[Service]\nExecStart=/no/such/program\n"),
        **unit("cond.service", "[Unit]\nConditionPathExists=!/etc/passwd\n[Service]\nExecStart=/bin/false\n"),
        **unit("user.service", "[Service]\nUser=nobody-here\nExecStart=/bin/true\nType=oneshot\n"),
        **unit("good.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n"),
    }
    write(root, files)
    with pid1(root) as world:
        assert sorted(boot(world)) == ["bad.service", "missing.service", "user.service"]
        text = world.request("tail")["data"]
    assert "/no/such/program: No such file" in text
    assert "nobody-here" in text
    assert "cond.service: not run" in text


def test_restart_limit(root: str) -> None:
    """Restart=on-failure five times in ten seconds, then no more; RestartPreventExitStatus is heeded."""
    write(root, {
        **unit("r.service", "[Service]\nRestart=on-failure\nRestartSec=10ms\n"
                            "ExecStart=/bin/sh -c 'echo r >>/tmp/r; exit 1'\n"),
        **unit("p.service", "[Service]\nRestart=always\nRestartPreventExitStatus=9 255\n"
                            "ExecStart=/bin/sh -c 'echo p >>/tmp/p; exit 255'\n"),
    })  # fmt: skip
    with pid1(root) as world:
        boot(world)
        wait_for(root, "/tmp/r", "r\n" * 5)
        until = time.monotonic() + 10
        while "too often" not in world.request("tail")["data"]:
            assert time.monotonic() < until
    assert read(root, "/tmp/r") == "r\n" * 5
    assert read(root, "/tmp/p") == "p\n"


def test_garbage_units(root: str) -> None:
    """Whatever stands in a unit file, PID 1 starts the rest."""
    write(root, {
        **unit("g.service", "\x00\xff[Service\nExecStart\n=x\n[Service]\nExecStart='unclosed\nType=\n\\"),
        **unit("h.service", "[Unit]\nAfter=h.service g.service\nBefore=g.service\n[Service]\nUMask=abc\nExecStart=/bin/true\n"),
        **unit("ok.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n"),
        "/etc/inittab": ":::\nx\n::respawn:\n::once:\n",
    })  # fmt: skip
    with pid1(root) as world:
        failed = boot(world)
        assert "ok.service" not in failed
        assert world.request("ping").verb == "pong"


def test_stuck_service_is_killed_in_time(root: str) -> None:
    """A service that ignores SIGTERM, and one whose stop command hangs, delay the way down no longer than allowed."""
    deaf = "trap '' TERM HUP; while :; do sleep 0.1; done"
    write(root, {
        "/etc/deaf": script(deaf),
        **unit("deaf.service", "[Service]\nExecStart=/etc/deaf\nTimeoutStopSec=500ms\n"),
        **unit("slow.service", "[Service]\nExecStart=/bin/sleep 1000\nExecStop=/bin/sleep 1000\nTimeoutStopSec=500ms\n"),
    })  # fmt: skip
    with pid1(root) as world:
        boot(world)
        begin = time.monotonic()
        world.request("stop", how="reboot", timeout=30)
        null = os.open("/dev/null", os.O_RDWR)
        assert world.request("exec", [null] * 3, id="late", argv=["true"]).verb == "error"
        assert world.request("stop", how="halt", timeout=1).verb == "error"
        os.close(null)
        world.expect("bye", how="reboot")
        assert world.wait() == -signal.SIGHUP
        assert time.monotonic() - begin < 10


def test_deadline_of_the_stop(root: str) -> None:
    """The host's timeout is the end, whatever services and processes want."""
    deaf = script("trap '' TERM HUP; while :; do sleep 0.1; done")
    write(root, {"/etc/deaf": deaf, **unit("deaf.service", "[Service]\nExecStart=/etc/deaf\n")})
    with pid1(root) as world:
        boot(world)
        begin = time.monotonic()
        world.request("stop", how="halt", timeout=4)
        world.expect("bye", how="halt")
        world.wait()
        assert time.monotonic() - begin < 8


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
