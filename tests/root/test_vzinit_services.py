"""What PID 1 starts by itself: inittab, init scripts, units."""

import os
import resource
import signal
import time

import pytest

from hostd.kernel import probes
from tests.harness import machine
from tests.harness.guest import read, script, start, unit, write
from tests.harness.patience import patient
from tests.harness.pid1 import busybox_root, pid1

pytestmark = pytest.mark.root


@pytest.fixture
def root(tmp_path: "os.PathLike[str]") -> str:
    return busybox_root(str(tmp_path))


def wait_for(root: str, path: str, text: str, timeout: float = 10.0) -> None:
    """Until *path* holds *text*."""
    until = time.monotonic() + patient(timeout)
    while not (os.path.exists(root + path) and text in read(root, path)):
        assert time.monotonic() < until, read(root, path) if os.path.exists(root + path) else f"no {path}"
        time.sleep(0.01)


def test_busybox_inittab(root: str) -> None:
    """sysinit before wait before once, wherever they stand; respawn again and again; shutdown lines while that runs."""
    write(root, {
        "/etc/inittab": "::once:/bin/sh -c 'echo once >>/tmp/log'\n::wait:echo wait >>/tmp/log\n::sysinit:/etc/first\n"
                        "null::respawn:/etc/again\n::askfirst:-/bin/sh\ntty1::respawn:/bin/getty 0 tty1\n"
                        "::shutdown:/etc/last\n# ::once:/etc/comment\n",
        "/etc/first": script("sleep 0.1; echo first >>/tmp/log"),
        "/etc/again": script("echo again >>/tmp/again; exec sleep 1000"),
        "/etc/last": script("pidof sleep >/dev/null && echo last >>/tmp/log"),
    })  # fmt: skip
    with pid1(root) as world:
        assert start(world) == []
        wait_for(root, "/tmp/log", "once")
        assert read(root, "/tmp/log") == "first\nwait\nonce\n"
        wait_for(root, "/tmp/again", "again\n")
        world.run("sh", "-c", "kill -9 $(ps -o pid,args | grep '[s]leep 1000' | (read pid rest; echo $pid))")
        wait_for(root, "/tmp/again", "again\nagain\n")
        assert "getty" not in world.run("ps")[1], "a prompt waits for a viewer"
        world.request("stop", how="halt", timeout=10)
        assert world.wait() == -signal.SIGINT
    assert read(root, "/tmp/log").endswith("once\nlast\n")


def test_busybox_without_inittab(root: str) -> None:
    """As busybox itself: what is in rcS."""
    write(root, {"/etc/init.d/rcS": script("echo rcS >>/tmp/log")})
    if not os.path.lexists(f"{root}/sbin/init"):
        os.symlink("busybox", f"{root}/sbin/init")
    with pid1(root) as world:
        assert start(world) == []
    assert read(root, "/tmp/log") == "rcS\n"


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
        assert start(world) == []
        wait_for(root, "/tmp/yes", "")
    assert sorted(set(os.listdir(f"{root}/tmp")) & {"rcS", "rc", "yes", "no"}) == ["yes"]


def test_init_scripts_in_order(root: str) -> None:
    """S links by number, stopped in reverse order; a unit of the same name comes first."""
    body = script('name=${0##*/}\necho "$name $1" >>/tmp/log\n')
    write(root, {
        "/etc/init.d/one": body, "/etc/init.d/two": body, "/etc/init.d/three": body,
        "/etc/init.d/bad": script("exit 3"),
        "/etc/rc2.d/S01three": "-> ../init.d/three", "/etc/rc2.d/S03one": "-> ../init.d/one",
        "/etc/rc2.d/S02two": "-> ../init.d/two", "/etc/rc2.d/K01one": "-> ../init.d/one",
        "/etc/rc2.d/S04bad": "-> ../init.d/bad",
        **unit("three.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo three unit >>/tmp/log'\n"),
    })  # fmt: skip
    with pid1(root) as world:
        assert start(world) == ["bad"]
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
        "/etc/daemon": script("sleep 0.3; echo ready >>/tmp/log; /.vz/bin/vzinit python \"$(cat /etc/send.py)\"\n"
                              "exec sleep 1000"),
        **unit("n.service", "[Service]\nType=notify\nExecStart=/etc/daemon\n"),
        **unit("after.service", "[Unit]\nAfter=n.service\n[Service]\nType=oneshot\n"
                                "ExecStart=/bin/sh -c 'echo after >>/tmp/log'\n"),
    })  # fmt: skip
    with pid1(root) as world:
        assert start(world) == []
        assert read(root, "/tmp/log") == "ready\nafter\n"


ALONE = "[ $(grep -ls '[/]etc/daemon' /proc/[0-9]*/cmdline | wc -l) = 1 ]"  # brackets: not this one


def test_forking_service_with_pid_file(root: str) -> None:
    """The process of the PID file is the service: its end is noticed, at the stop it is ended."""
    write(root, {
        "/etc/daemon": script("rm -f /run/trapped\n"
                              "(trap 'echo term >>/tmp/log; exit 0' TERM; touch /run/trapped\n"
                              " while :; do sleep 0.05; done) &\n"
                              "echo $! >/run/d.pid; until test -e /run/trapped; do :; done; echo start >>/tmp/log"),
        **unit("d.service", "[Service]\nType=forking\nPIDFile=/run/d.pid\nExecStart=/etc/daemon\nRestart=on-failure\n"),
    })  # fmt: skip
    with pid1(root) as world:
        assert start(world) == []
        world.run("sh", "-c", "kill -9 $(cat /run/d.pid)")
        wait_for(root, "/tmp/log", "start\nstart\n")
        machine.until("only the daemon is left", lambda: world.run("sh", "-c", ALONE)[0] == 0)
        world.request("stop", how="halt", timeout=10)
        world.wait()
    assert read(root, "/tmp/log") == "start\nstart\nterm\n"


def test_a_daemon_that_hands_over_to_another_process(root: str) -> None:
    """As nginx does when it is upgraded while it runs: the PID file has the new one before the old one ends."""
    write(root, {
        "/etc/daemon": script("(trap 'echo term >>/tmp/log; exit 0' TERM; while :; do sleep 0.05; done) &\n"
                              "echo $! >/run/d.pid; echo start >>/tmp/log"),
        **unit("d.service", "[Service]\nType=forking\nPIDFile=/run/d.pid\nExecStart=/etc/daemon\nRestart=always\n"),
    })  # fmt: skip
    with pid1(root) as world:
        assert start(world) == []
        world.run("sh", "-c", "old=$(cat /run/d.pid); /etc/daemon >/dev/null 2>&1; kill -9 $old")
        time.sleep(0.5)  # nothing happens: after RestartSec= it would have been started again
        world.request("stop", how="halt", timeout=10)
        world.wait()
    assert read(root, "/tmp/log") == "start\nstart\nterm\n", "it was started again, or not ended"


def test_unit_limits(root: str) -> None:
    command = "/bin/sh -c 'echo $$(ulimit -Sn) $$(ulimit -Hn) $$(ulimit -c) >/tmp/log'"
    service = f"[Service]\nType=oneshot\nLimitNOFILE=77:88\nLimitCORE=infinity\nExecStart={command}\n"
    write(root, unit("l.service", service))
    with pid1(root) as world:
        assert start(world) == []
    assert read(root, "/tmp/log") == "77 88 unlimited\n"


def test_a_unit_gets_as_much_as_it_may_have(root: str) -> None:
    command = "/bin/sh -c 'echo $$(ulimit -Sn) $$(ulimit -Hn) >/tmp/log'"
    write(root, unit("l.service", f"[Service]\nType=oneshot\nLimitNOFILE=1000:2000\nExecStart={command}\n"))
    with pid1(root) as world:
        world.greet()
        resource.prlimit(world.pid, resource.RLIMIT_NOFILE, (200, 500))
        world.request("go")
        world.expect("running")
    assert read(root, "/tmp/log") == ("1000 2000\n" if probes.sys_resource() else "500 500\n")


def test_unit_environment(root: str) -> None:
    """Environment, files, $VARIABLES, user, directories, prefixes, umask."""
    write(root, {
        "/etc/default/e": "FROM_FILE='two words'\n# comment\nEMPTY=\n",
        "/etc/show": script('echo "$@" >>/tmp/log; id -un >>/tmp/log; umask >>/tmp/log; echo "$HOME $D" >>/tmp/log'),
        "/tmp/log": "",
        **unit("e.service", "[Service]\nType=oneshot\nUser=user\nUMask=0027\nRuntimeDirectory=e/deep\n"
               "RuntimeDirectoryMode=0750\nEnvironment=A=1 \"D=a b\"\nEnvironmentFile=-/etc/default/missing\n"
               "EnvironmentFile=/etc/default/e\nExecStartPre=-/bin/false\n"
               "ExecStart=/etc/show $FROM_FILE ${FROM_FILE} x$$y \\\n"
               "   %p ${A}%%\n"),
    })  # fmt: skip
    os.chmod(f"{root}/tmp/log", 0o666)
    with pid1(root) as world:
        assert start(world) == []
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
        assert sorted(start(world)) == ["bad.service", "missing.service", "user.service"]
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
        start(world)
        wait_for(root, "/tmp/r", "r\n" * 5)
        until = time.monotonic() + patient(10)
        while "too often" not in world.request("tail")["data"]:
            assert time.monotonic() < until
    assert read(root, "/tmp/r") == "r\n" * 5
    assert read(root, "/tmp/p") == "p\n"


def test_garbage_units(root: str) -> None:
    """Whatever stands in a unit file, PID 1 starts the rest."""
    write(root, {
        **unit("g.service", "\x00\xff[Service\nExecStart\n=x\n[Service]\nExecStart='unclosed\nType=\n\\"),
        **unit("h.service", "[Unit]\nAfter=h.service g.service\nBefore=g.service\n[Service]\nUMask=abc\n"
                            "ExecStart=/bin/true\n"),
        **unit("ok.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n"),
        "/etc/inittab": ":::\nx\n::respawn:\n::once:\n",
    })  # fmt: skip
    with pid1(root) as world:
        failed = start(world)
        assert "ok.service" not in failed
        assert world.request("ping").verb == "pong"
