"""The keeper and its daemon: start, death, back-off, upgrade, end; one per prefix."""

import os
import shutil
import signal
import socket
from collections.abc import Iterator

import pytest

from hostd.config.paths import Paths
from tests.harness import machine
from tests.harness.small import Small

pytestmark = pytest.mark.root


@pytest.fixture
def small(tmp_path: object) -> Iterator[Small]:
    installation = Small(f"{tmp_path}/vz")
    yield installation
    installation.stop()


def test_the_first_command_starts_hostd_and_the_second_uses_it(small: Small) -> None:
    assert not os.path.exists(small.paths.socket)
    daemon, keeper = small.ctl("pid").split()
    assert small.ctl("pid").split() == [daemon, keeper]
    assert small.keeper_pid == int(keeper)
    assert os.stat(small.paths.socket).st_mode & 0o777 == 0o600


def test_commands_that_start_hostd_at_the_same_time_share_one(small: Small) -> None:
    commands = [small.popen("vzctl", "pid") for _ in range(6)]
    answers = {command.communicate()[0] for command in commands}
    assert len(answers) == 1 and answers != {b""}


def test_a_second_keeper_of_the_prefix_is_refused(small: Small) -> None:
    small.ctl("pid")
    done = small.run("hostd")
    assert done.returncode == 7
    assert f"hostd is already running: pid {small.keeper_pid} has locked" in done.stderr.decode()


def test_a_stale_socket_and_pid_file_do_not_matter(small: Small) -> None:
    os.makedirs(small.paths.run_dir)
    stale = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stale.bind(small.paths.socket)
    stale.close()
    with open(small.paths.hostd_pid, "w", encoding="ascii") as file:
        file.write("1\n")
    assert small.run("hostd", "--stop").returncode == 1
    assert small.ctl("pid").split()[1] == str(small.keeper_pid)


def test_a_killed_daemon_is_replaced(small: Small) -> None:
    first = small.daemon_pid
    for _ in range(3):
        machine.kill_and_wait(small.daemon_pid)
    assert small.daemon_pid != first
    assert "was killed by signal 9" in small.log()


def test_a_command_whose_daemon_dies_says_so(small: Small) -> None:
    done = small.run("vzctl", "die")
    assert done.returncode == 3
    assert done.stderr == b"vzctl: hostd went away before it answered; the container is not harmed\n"


def test_commands_wait_while_the_daemon_starts(small: Small) -> None:
    """Those that come between two daemons find the keeper's socket and are served by the next one."""
    pidfd = os.pidfd_open(small.daemon_pid)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)
    assert small.ctl("status", "101") == "CTID 101 exist unmounted down\n"


def test_a_daemon_that_cannot_start_is_explained(tmp_path: object) -> None:
    small = Small(f"{tmp_path}/vz", ["/bin/sh", "-c", "echo no module named thing >&2; exit 1"])
    done = small.run("vzctl", "status", "101")
    small.stop()
    log = small.paths.hostd_log
    assert done.returncode == 3
    assert done.stderr.decode() == f"hostd does not start: no module named thing (see {log})\n"


def test_a_daemon_that_ends_with_bytes_does_not_take_the_keeper_along(tmp_path: object) -> None:
    small = Small(f"{tmp_path}/vz", ["/bin/sh", "-c", r"printf 'a\0b\377c\n' >&2; exit 1"])
    done = small.run("vzctl", "status", "101")
    keeper = small.keeper_pid
    assert done.stderr == f"hostd does not start: a\ufffdb\udcffc (see {small.paths.hostd_log})\n".encode(
        "utf-8", "surrogateescape"
    )
    assert small.run("vzctl", "status", "101").returncode == 3 and small.keeper_pid == keeper
    small.stop()


def test_a_daemon_that_is_not_there_is_explained(tmp_path: object) -> None:
    small = Small(f"{tmp_path}/vz", ["/nonexistent/daemon"])
    done = small.run("vzlist")
    small.stop()
    assert b"cannot start /nonexistent/daemon: No such file or directory" in done.stderr


def test_an_unusable_run_directory_is_explained(tmp_path: object) -> None:
    small = Small(f"{tmp_path}/vz")
    os.makedirs(f"{small.prefix}/run")
    with open(f"{small.prefix}/run/vz", "w", encoding="ascii"):
        pass
    done = small.run("vzctl", "status", "1")
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr.startswith(b"vzctl: hostd is not running and cannot be started: hostd: ")
    assert done.stderr.count(b"\n") == 1


def test_a_missing_keeper_program_is_explained(small: Small) -> None:
    os.unlink(f"{small.bin}/hostd")
    done = small.run("vzctl", "status", "1")
    assert done.returncode == 3
    assert done.stderr.decode().endswith(f"{small.bin}/hostd is not an executable file\n")
    assert small.run("vzlist").returncode == 1


def test_stop_ends_the_daemon_and_leaves_nothing(small: Small) -> None:
    daemon, keeper = map(int, small.ctl("pid").split())
    assert small.run("hostd", "--stop").returncode == 0
    assert not machine.alive(daemon) and not machine.alive(keeper)
    assert sorted(os.listdir(small.paths.run_dir)) == ["hostd.lock"]
    assert machine.cgroups_named(small.paths.cgroup_root) == []


def test_the_daemon_of_a_killed_keeper_can_become_one(small: Small) -> None:
    daemon, keeper = map(int, small.ctl("pid").split())
    machine.kill_and_wait(keeper)
    machine.until("the next keeper", lambda: small.keeper_pid == daemon)
    assert small.ctl("pid").split()[1] == str(daemon)
    assert small.run("hostd").returncode == 7


def test_a_keeper_whose_prefix_was_removed_ends(small: Small) -> None:
    """And leaves the one alone that came after it."""
    daemon, keeper = map(int, small.ctl("pid").split())
    shutil.rmtree(f"{small.prefix}/run")
    other = small.ctl("pid").split()
    assert other[1] != str(keeper)
    machine.kill_and_wait(daemon)
    machine.until("the first keeper ends", lambda: not machine.alive(keeper))
    assert small.ctl("pid").split() == other


def test_the_daemon_inherits_nothing_of_the_caller(small: Small) -> None:
    small.env |= {"LD_DEBUG_OUTPUT": "x", "VZ_MARK": "1", "VZ_ANSWER": "vzctl\x1f--help"}
    said = small.ctl("environment")
    assert said.startswith("/ {0: '/dev/null', 1: '")
    assert said.count("/var/log/vz-hostd.log") == 2
    assert said.strip().endswith("['HOME', 'LANG', 'PATH', 'VZ_HOSTD', 'VZ_MARK', 'VZ_PREFIX']")
    assert os.getsid(small.keeper_pid) == small.keeper_pid


def test_the_keeper_leaves_the_callers_cgroups(small: Small) -> None:
    """Where we are in the top cgroup, so is the keeper; anywhere else it has one of its own.

    Also when a service runs the command that starts it: that does not make it the service.
    """
    small.env["NOTIFY_SOCKET"] = "@nobody"
    daemon, keeper = map(int, small.ctl("pid").split())
    own = f"/{Paths(small.prefix).cgroup_root}/.hostd"
    mine = machine.read("/proc/self/cgroup").splitlines()
    expected = [line if line.endswith(":/") else line.rpartition(":")[0] + ":" + own for line in mine]
    assert machine.read(f"/proc/{keeper}/cgroup").splitlines() == expected
    assert machine.read(f"/proc/{daemon}/cgroup").splitlines() == expected
    assert "NOTIFY_SOCKET" not in machine.read(f"/proc/{keeper}/environ")


@pytest.mark.parametrize("how", ["hostd", "signal"])
def test_upgrade_keeps_the_process_and_replaces_the_daemon(small: Small, how: str) -> None:
    daemon, keeper = map(int, small.ctl("pid").split())
    small.ctl("hold", "101:1.link", "kept text")
    if how == "hostd":
        assert small.run("hostd", "--upgrade").returncode == 0
    else:
        os.kill(keeper, signal.SIGHUP)
    machine.until("the old daemon leaves", lambda: not machine.alive(daemon))
    new_daemon, new_keeper = map(int, small.ctl("pid").split())
    assert new_keeper == keeper and new_daemon != daemon
    assert small.ctl("held") == "101:1.link=kept text\n"
    assert small.run("hostd").returncode == 7
    assert "--adopt" not in machine.read(f"/proc/{new_daemon}/environ")


def test_an_upgrade_to_broken_code_is_refused(small: Small) -> None:
    daemon, keeper = map(int, small.ctl("pid").split())
    small.program("hostd", "#!/usr/bin/python3 -ISE\nraise SystemExit(5)\n")
    os.kill(keeper, signal.SIGHUP)
    machine.until("the refusal", lambda: "upgrade refused" in small.log())
    assert small.ctl("pid").split() == [str(daemon), str(keeper)]


def test_an_upgrade_goes_on_without_a_log(small: Small) -> None:
    """It was rotated away, and cannot be made again: on a full disk, say."""
    daemon, keeper = map(int, small.ctl("pid").split())
    os.unlink(small.paths.hostd_log)
    os.mkdir(small.paths.hostd_log)
    assert small.run("hostd", "--upgrade").returncode == 0
    machine.until("the old daemon leaves", lambda: not machine.alive(daemon))
    assert small.ctl("pid").split()[1] == str(keeper)


def test_the_keeper_is_small(small: Small) -> None:
    small.ctl("pid")
    rollup = machine.read(f"/proc/{small.keeper_pid}/smaps_rollup").splitlines()
    private = sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))
    assert private <= 4096, f"{private} KiB"
