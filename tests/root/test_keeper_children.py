"""The keeper as a parent: statuses and descriptors outlive the daemon, and nothing stays a zombie."""

import os
import signal

import pytest

from tests.harness import machine
from tests.harness.small import Small

pytestmark = pytest.mark.root

EXITED, KILLED = os.CLD_EXITED, os.CLD_KILLED


def state(pid: int) -> str:
    """The letter of /proc/PID/stat, "" when there is no such process."""
    return machine.read(f"/proc/{pid}/stat").rpartition(")")[2].strip()[:1]


def kill_daemon(small: Small) -> None:
    machine.kill_and_wait(small.daemon_pid)


@pytest.mark.parametrize(
    ("script", "answer"),
    [
        ("exit 7", f"{EXITED} 7 0"),
        ("kill -HUP $$", f"{KILLED} 1 1"),
        ("kill -INT $$", f"{KILLED} 2 2"),
        ("kill -KILL $$", f"{KILLED} 9 9"),
    ],
)
def test_the_reason_of_an_end_arrives(small: Small, script: str, answer: str) -> None:
    name = f"reason:{script}"
    pid = int(small.ctl("spawn", name, script))
    assert small.ctl("wait", name) == answer + "\n"
    machine.until("it is reaped", lambda: state(pid) == "")
    small.ctl("forget", name)


def test_a_child_that_ended_while_no_daemon_was_there(small: Small) -> None:
    pid = int(small.ctl("spawn", "102:1", "sleep 1000"))
    keeper = os.pidfd_open(small.keeper_pid)
    daemon = os.pidfd_open(small.daemon_pid)
    signal.pidfd_send_signal(keeper, signal.SIGSTOP)
    signal.pidfd_send_signal(daemon, signal.SIGKILL)
    os.kill(pid, signal.SIGHUP)
    machine.until("a zombie", lambda: state(pid) == "Z")
    signal.pidfd_send_signal(keeper, signal.SIGCONT)
    os.close(keeper)
    os.close(daemon)
    assert small.ctl("wait", "102:1") == f"{KILLED} 1 1\n"
    small.ctl("forget", "102:1")


def test_an_end_is_repeated_to_every_daemon_until_it_is_forgotten(small: Small) -> None:
    small.ctl("spawn", "103:1", "exit 3")
    small.ctl("wait", "103:1")
    for _ in range(2):
        kill_daemon(small)
        assert "103:1" in small.ctl("exits").split()
    small.ctl("forget", "103:1")
    kill_daemon(small)
    assert "103:1" not in small.ctl("exits").split()


def test_a_new_daemon_gets_the_living_children(small: Small) -> None:
    pid = small.ctl("spawn", "104:1", "sleep 1000").strip()
    kill_daemon(small)
    assert f"104:1 {pid}" in small.ctl("children").splitlines()
    os.kill(int(pid), signal.SIGTERM)
    assert small.ctl("wait", "104:1") == f"{KILLED} 15 15\n"
    small.ctl("forget", "104:1")


def test_names_of_two_starts_are_two_children(small: Small) -> None:
    small.ctl("spawn", "105:1", "exit 1")
    small.ctl("wait", "105:1")
    pid = int(small.ctl("spawn", "105:2", "sleep 1000"))
    small.ctl("forget", "105:1")
    assert state(pid) not in ("", "Z")
    os.kill(pid, signal.SIGHUP)
    assert small.ctl("wait", "105:2") == f"{KILLED} 1 1\n"
    small.ctl("forget", "105:2")


def test_held_descriptors_outlive_the_daemon(small: Small) -> None:
    small.ctl("hold", "106:1.link", "first")
    small.ctl("hold", "106:1.link", "second")
    small.ctl("hold", "107:1.link", "other")
    kill_daemon(small)
    assert small.ctl("held") == "106:1.link=second\n107:1.link=other\n"
    small.ctl("forget", "106:1.link")
    small.ctl("forget", "107:1.link")
    kill_daemon(small)
    assert small.ctl("held") == ""


def test_more_descriptors_than_fit_one_message(small: Small) -> None:
    names = [f"{number}:1.link" for number in range(1000, 1450)]
    for name in names[::10]:
        small.ctl("hold", name, name)
    small.ctl("holdmany", *names)
    kill_daemon(small)
    assert small.ctl("held").split() == sorted(f"{name}={name}" for name in names)
    small.ctl("forgetmany", *names)
    kill_daemon(small)
    assert small.ctl("held") == ""


def test_children_of_nobody_are_reaped(small: Small) -> None:
    """A start that failed before it was registered leaves a zombie for a grace only."""
    pids = [int(small.ctl("spawn", "-", "exit 0")) for _ in range(3)]
    machine.until("zombies", lambda: all(state(pid) in ("Z", "") for pid in pids))  # or after it, on a busy host
    kill_daemon(small)
    small.ctl("pid")
    assert [state(pid) for pid in pids] == ["", "", ""]


def test_a_late_registration_still_gets_the_status(small: Small) -> None:
    """It ended before the keeper heard of it: the zombie waits."""
    small.ctl("spawnlate", "108:1", "exit 42")
    assert small.ctl("wait", "108:1") == f"{EXITED} 42 0\n"
    small.ctl("forget", "108:1")


def test_children_and_statuses_survive_an_upgrade(small: Small) -> None:
    small.ctl("spawn", "109:1", "exit 9")
    small.ctl("wait", "109:1")
    pid = int(small.ctl("spawn", "109:2", "sleep 1000"))
    daemon, keeper = map(int, small.ctl("pid").split())
    small.run("hostd", "--upgrade")
    machine.until("the old daemon leaves", lambda: not machine.alive(daemon))
    assert small.keeper_pid == keeper
    assert small.ctl("wait", "109:1") == f"{EXITED} 9 0\n"
    os.kill(pid, signal.SIGHUP)
    assert small.ctl("wait", "109:2") == f"{KILLED} 1 1\n"
    small.ctl("forget", "109:1")
    small.ctl("forget", "109:2")


def test_the_keeper_keeps_no_descriptor_of_what_was_forgotten(small: Small) -> None:
    def count() -> int:
        small.ctl("pid")
        return len(os.listdir(f"/proc/{small.keeper_pid}/fd"))

    before = count()
    for number in range(5):
        name = f"110:{number}"
        small.ctl("hold", f"{name}.link", "x")
        small.ctl("spawn", name, "exit 0")
        small.ctl("wait", name)
        small.ctl("forget", name)
        small.ctl("forget", f"{name}.link")
        kill_daemon(small)
    assert count() == before


def test_a_child_of_a_killed_keeper_ends_for_an_unknown_reason(small: Small) -> None:
    pid = int(small.ctl("spawn", "111:1", "sleep 1000"))
    daemon, keeper = map(int, small.ctl("pid").split())
    machine.kill_and_wait(keeper)
    machine.until("the next keeper", lambda: small.keeper_pid == daemon)
    small.ctl("adopt", "111:1", str(pid))
    os.kill(pid, signal.SIGHUP)
    assert small.ctl("wait", "111:1") == "0 0 0\n"
    small.ctl("forget", "111:1")
