"""What processes hold, on a /proc of files and links."""

import os
from pathlib import Path

import pytest

from hostd.kernel import holdings

STATUS = "Name:\tsh\nUid:\t{user}\t{user}\t{user}\t{user}\nVmLck:\t{locked} kB\nSigQ:\t{signals}/96365\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """10 and 11 are shells at terminals, 12 a terminal's other end, 13 a zombie; 14 is gone."""
    process(tmp_path, 10, ["/dev/pts/0", "/dev/pts/0", "pipe:[5]"], user=1000, locked=4, signals=2)
    process(tmp_path, 11, ["/dev/pts/3"], user=1000, locked=8, signals=3)
    process(tmp_path, 12, ["/dev/ptmx", "/dev/pts/ptmx", "/var/ptmx.txt"], user=1001, locked=0, signals=1)
    (tmp_path / "12/fdinfo/0").write_text("pos:\t0\nflags:\t02\ntty-index:\t7\n")
    (tmp_path / "12/fdinfo/1").write_text("tty-index:\t0\n")
    (tmp_path / "13").mkdir()
    (tmp_path / "13/status").write_text("Uid:\t1002\t1002\nSigQ:\t0/96365\n")
    return tmp_path


def process(proc: Path, pid: int, links: list[str], **status: int) -> None:
    for part in ("fd", "fdinfo"):
        (proc / f"{pid}/{part}").mkdir(parents=True)
    for number, target in enumerate(links):
        (proc / f"{pid}/fd/{number}").symlink_to(target)
    (proc / f"{pid}/status").write_text(STATUS.format(**status))


def test_terminals_are_told_by_either_end(proc: Path) -> None:
    assert holdings.terminals([10, 11, 14], str(proc)) == 2
    assert holdings.terminals([12], str(proc)) == 2  # 7 and 0; not what is only called so
    assert holdings.terminals([10, 11, 12, 13, 14], str(proc)) == 3


def test_files_below_a_directory_of_that_name_are_no_terminals(proc: Path) -> None:
    process(proc, 20, ["/home/pts/8/notes", "/home/pts/7x", "/dev/pts/6 (deleted)"], user=0, locked=0, signals=0)
    assert holdings.terminals([20], str(proc)) == 1


def test_more_than_anybody_waits_for_is_not_known(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdings, "MOST_LINKS", 6)
    assert holdings.terminals([10, 12], str(proc)) == 2  # 0, and 0 and 7
    assert holdings.terminals([10, 11, 12], str(proc)) is None


def test_signals_are_counted_by_user(proc: Path) -> None:
    found = holdings.statuses([10, 11, 12, 13, 14], str(proc))
    assert holdings.queued_signals(found) == 3 + 1 + 0
    assert sum(one.locked for one in found) == 12 * 1024
    assert len(found) == 4


@pytest.mark.parametrize("name", [b"\rVmLck:\t x", b"\rVmLck:", b"\nSigQ:\t9/9", b"\rUid:\t9"])
def test_a_name_is_no_figure(name: bytes) -> None:
    """Of a zombie, which has no memory of its own to tell about."""
    if (pid := os.fork()) == 0:
        with open("/proc/self/comm", "wb") as file:
            file.write(name)
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    (found,) = holdings.statuses([pid])
    os.waitpid(pid, 0)
    assert (found.user, found.locked) == (os.getuid(), 0)


def test_open_files_of_a_real_process() -> None:
    before = holdings.open_files([os.getpid()])
    reader, writer = os.pipe()
    try:
        assert holdings.open_files([os.getpid()]) == before + 2
        assert holdings.open_files([os.getpid(), 2**22 + 1]) == before + 2  # beyond pid_max: nobody
    finally:
        os.close(reader)
        os.close(writer)


def test_locks_are_told_by_their_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "locks"
    path.write_text(
        "1: POSIX  ADVISORY  WRITE 10 fe:00:15 0 EOF\n"
        "1: -> POSIX  ADVISORY  WRITE 11 fe:00:15 0 EOF\n"
        "2: FLOCK  ADVISORY  WRITE 10 fe:00:16 0 EOF\n"
        "3: OFDLCK ADVISORY  READ -1 fe:00:17 201 201\n"
        "4: LEASE  ACTIVE    READ 12 fe:00:18 0 EOF\n"
    )
    found = holdings.locks(str(path))
    assert found is not None and {pid: number for pid, number in found.items() if pid > 0} == {10: 2, 12: 1}
    monkeypatch.setattr(holdings, "MOST_LOCKS", 4)  # and there are five lines
    assert holdings.locks(str(path)) is None
    assert holdings.locks(str(tmp_path / "none")) == {}


def test_what_is_open_is_not_opened_again(proc: Path) -> None:
    """A guest may have anything open: this would wait for ever."""
    os.mkfifo(proc / "ptmx")
    process(proc, 20, [str(proc / "ptmx")], user=0, locked=0, signals=0)
    assert holdings.terminals([20], str(proc)) == 0  # it has no number
