"""utmp as glibc's programs read it: where an entry goes, and what becomes of a login."""

import os
import posix
from functools import partial
from pathlib import Path

import pytest

from vzinit import users, utmp

SIZE = len(utmp.record(0, 0))
AT_BOOT = [utmp.BOOT_TIME, utmp.RUN_LVL]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("utmp", "wtmp"):
        (tmp_path / name).touch()
        monkeypatch.setattr(utmp, name.upper(), f"{tmp_path}/{name}")
    return tmp_path


class Groups(dict[str, int]):
    """/etc/group, and the owners of what was made: uid and gid."""

    def __init__(self) -> None:
        super().__init__(utmp=4321)
        self.owners: list[tuple[int, int]] = []


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> Groups:
    """Of an image that has a `last`."""
    found = Groups()
    monkeypatch.setattr(utmp, "READERS", ("/bin/true",))
    monkeypatch.setattr(users, "rows", lambda _path: [[name, "x", str(gid)] for name, gid in found.items()])
    monkeypatch.setattr(posix, "fchown", lambda _fd, uid, gid: found.owners.append((uid, gid)))
    return found


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


# The boot.


def test_a_boot_makes_what_is_not_there(files: Path, groups: Groups) -> None:
    for path in files.iterdir():
        path.unlink()
    utmp.boot("2")
    assert [row[0] for row in entries(files / "utmp")] == AT_BOOT
    assert [row[0] for row in entries(files / "wtmp")] == [utmp.BOOT_TIME]
    assert [path.stat().st_mode & 0o7777 for path in files.iterdir()] == [0o664, 0o664]
    assert groups.owners == [(0, 4321)] * 2


def test_an_image_without_the_group(files: Path, groups: Groups) -> None:
    groups.clear()
    (files / "wtmp").unlink()
    utmp.boot("2")
    assert (files / "wtmp").stat().st_mode & 0o7777 == 0o664
    assert not groups.owners


def test_a_boot_leaves_the_past_to_its_owner(files: Path, groups: Groups) -> None:
    os.chmod(files / "wtmp", 0o600)
    utmp.boot("2")
    found = (files / "wtmp").stat()
    assert (found.st_mode & 0o7777, found.st_size) == (0o600, SIZE)
    assert not groups.owners


def test_a_past_that_is_a_link_takes_nothing_of_the_present(files: Path, groups: Groups) -> None:
    """Nor of a logout."""
    (files / "wtmp").unlink()
    (files / "elsewhere").touch()
    (files / "wtmp").symlink_to("elsewhere")
    for step in (partial(utmp.boot, "2"), partial(utmp.login, "pts/1", 42), partial(utmp.logout, 42)):
        with pytest.raises(OSError, match="symbolic"):
            step()
    assert [row[:2] for row in entries(files / "utmp")][2:] == [(utmp.DEAD_PROCESS, 42)]
    assert [row[0] for row in entries(files / "utmp")][:2] == AT_BOOT
    assert not (files / "elsewhere").read_bytes()
