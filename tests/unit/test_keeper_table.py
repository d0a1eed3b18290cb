"""The keeper's table, its journey through an exec, and the small pure parts."""

import errno
import marshal
import os
import socket
import types
from typing import cast

import pytest

from hostd.keeper import upgrade
from hostd.keeper.daemon import restart_delay
from hostd.keeper.keeper import Keeper
from hostd.keeper.main import BadUsage, parse, run
from hostd.keeper.table import Table
from hostd.keeper.upgrade import Handover
from tests.harness.machine import is_open


def descriptor() -> int:
    return os.open("/dev/null", os.O_RDONLY)


def test_holding_again_closes_the_first() -> None:
    table, first, second = Table(), descriptor(), descriptor()
    table.hold("101:1.link", first)
    table.hold("101:1.link", second)
    assert not is_open(first) and is_open(second)
    table.forget("101:1.link")
    assert not is_open(second) and table.held == {}


def test_a_child_that_lives_and_one_that_ended() -> None:
    table = Table()
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 3"], {})
    child = table.add_child("101:1", pid, os.pidfd_open(pid))
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert child.reap() and (child.code, child.status) == (os.CLD_EXITED, 3)
    assert [c.name for c in table.ended()] == ["101:1"] and list(table.living()) == []


def test_a_process_that_is_not_our_child_ends_without_a_reason() -> None:
    child = Table().add_child("101:1", os.getpid(), os.pidfd_open(os.getpid()))
    assert child.reap() and (child.code, child.status) == (0, 0)


def test_the_table_through_marshal() -> None:
    table = Table()
    held, pidfd = descriptor(), descriptor()
    table.hold("101:1.link", held)
    table.add_child("101:1", 4711, pidfd)
    ended = table.add_child("102:7", 4712, -1)
    ended.code, ended.status = os.CLD_KILLED, 1
    fd = Handover(10, 11, table, (4713, 12, 13)).save()
    copy = Handover.load(fd)
    os.close(fd)
    assert (copy.lock, copy.listener, copy.daemon) == (10, 11, (4713, 12, 13))
    assert copy.table.plain() == table.plain()
    assert copy.descriptors() == [10, 11, held, pidfd, 12, 13]
    for name in ("101:1", "101:1.link", "102:7"):
        table.forget(name)
    assert not is_open(held) and not is_open(pidfd)


def test_a_later_version_may_add_to_it() -> None:
    fd = Handover(1, 2, Table(), None).save()
    data = marshal.loads(os.pread(fd, 9999, 0))
    os.pwrite(fd, marshal.dumps({**data, "new": 1}), 0)
    assert Handover.load(fd).daemon is None
    os.close(fd)


def test_an_upgrade_without_a_descriptor_to_spare_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_name: str) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    said: list[str] = []
    monkeypatch.setattr("posix.memfd_create", none_left)
    monkeypatch.setattr("hostd.keeper.log.line", said.append)
    with socket.socket() as listener:
        keeper = types.SimpleNamespace(daemon=None, listener=listener, table=Table())
        upgrade.exec_next(cast(Keeper, keeper), -1, ["/nonexistent", "--"])
    assert said == ["upgrade failed: Too many open files"]


def test_a_next_version_that_hangs_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """And does not keep the keeper from its children for ever."""
    said: list[str] = []
    monkeypatch.setattr("hostd.keeper.log.line", said.append)
    monkeypatch.setattr(upgrade, "_PATIENCE", 100)
    fd = descriptor()
    assert not upgrade.next_version_works(["/bin/sh", "-c", "exec sleep 1000", "--"], fd)
    os.close(fd)
    assert said == ["upgrade refused: the next version ends with -9; this one stays"]


def test_the_command_line_of_the_next_version() -> None:
    line = ["python", "hostd", "--cgroup", "vz", "--adopt", "5", "--", "daemon", "--check", "x"]
    plain = ["python", "hostd", "--cgroup", "vz", "--", "daemon", "--check", "x"]
    assert upgrade.adopting(line) == plain
    assert upgrade.adopting(plain, "--adopt", "7") == [*plain[:4], "--adopt", "7", *plain[4:]]


def test_delays_grow_and_end_at_two_seconds() -> None:
    delays = [restart_delay(deaths) for deaths in range(100)]
    assert delays[:5] == [0.0, 0.0, 0.05, 0.1, 0.2]
    assert delays == sorted(delays) and delays[-1] == 2.0


def test_options() -> None:
    assert parse(["--cgroup", "x", "--stop", "--", "d", "--", "e"]) == (
        {"--cgroup": "x", "--stop": ""},
        ["d", "--", "e"],
    )


@pytest.mark.parametrize("argv", [[], ["--"], ["--stop"], ["--what", "--", "d"], ["word", "--", "d"]])
def test_wrong_usage(argv: list[str]) -> None:
    with pytest.raises(BadUsage):
        parse(argv)


def test_an_answer_to_nothing_starts_no_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would write configuration files, and die for want of a keeper."""
    monkeypatch.delenv("VZ_ANSWER", raising=False)
    with pytest.raises(BadUsage):
        run({"--answer": ""}, ["/bin/false"], [])
