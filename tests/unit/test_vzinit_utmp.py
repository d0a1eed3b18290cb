"""utmp as glibc's programs read it: where an entry goes, and what becomes of a login."""

import os
from pathlib import Path

import pytest

from vzinit import utmp

SIZE = len(utmp.record(0, 0))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("utmp", "wtmp"):
        (tmp_path / name).touch()
        monkeypatch.setattr(utmp, name.upper(), f"{tmp_path}/{name}")
    return tmp_path


def entries(path: Path) -> list[tuple[int, int, str, str]]:
    """(type, pid, line, user) of each."""
    text = path.read_bytes()
    assert len(text) % SIZE == 0
    rows = [text[at : at + SIZE] for at in range(0, len(text), SIZE)]
    return [(row[0], int.from_bytes(row[utmp.PID], "little"), words(row[8:40]), words(row[44:76])) for row in rows]


def words(field: bytes) -> str:
    return field.rstrip(b"\0").decode()


def test_a_login_and_its_end(files: Path) -> None:
    utmp.login("pts/1", 42)
    utmp.login("pts/12", 43)
    assert entries(files / "utmp") == [(7, 42, "pts/1", "root"), (7, 43, "pts/12", "root")]
    utmp.logout(42)
    utmp.logout(44)
    assert entries(files / "utmp") == [(8, 42, "pts/1", ""), (7, 43, "pts/12", "root")]
    assert [row[:3] for row in entries(files / "wtmp")] == [(7, 42, "pts/1"), (7, 43, "pts/12"), (8, 42, "pts/1")]
    utmp.login("pts/1", 50)
    assert entries(files / "utmp")[0] == (7, 50, "pts/1", "root"), "the terminal has one entry"


def test_a_prompt_is_none_of_the_past(files: Path) -> None:
    utmp.put(utmp.record(utmp.LOGIN_PROCESS, 9, b"tty1", b"1", b"LOGIN"))
    utmp.logout(9)
    assert entries(files / "utmp") == [(8, 9, "tty1", "")] and entries(files / "wtmp") == []


def test_of_the_system_there_is_one_of_a_kind(files: Path) -> None:
    for host in (b"one", b"two"):
        utmp.put(utmp.record(utmp.BOOT_TIME, 0, b"~", b"~~", b"reboot", host))
        utmp.put(utmp.record(utmp.RUN_LVL, 50, b"~", b"~~", b"runlevel"))
    assert [row[0] for row in entries(files / "utmp")] == [utmp.BOOT_TIME, utmp.RUN_LVL]
    assert b"two" in (files / "utmp").read_bytes()


def test_what_was_cut_short_is_written_over(files: Path) -> None:
    (files / "utmp").write_bytes(utmp.record(utmp.RUN_LVL, 1) + b"half of one")
    utmp.login("pts/3", 7)
    assert [row[1] for row in entries(files / "utmp")] == [1, 7]


def test_files_that_are_not_there_are_not_made(files: Path) -> None:
    os.unlink(files / "wtmp")
    utmp.login("pts/3", 7)
    assert os.listdir(files) == ["utmp"]
    os.unlink(files / "utmp")
    with pytest.raises(FileNotFoundError):
        utmp.login("pts/3", 7)
