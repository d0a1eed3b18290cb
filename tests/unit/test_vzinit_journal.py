"""The log of the container, read by somebody else."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.journal_reader import ARCHIVED, OFFLINE, ONLINE, Reader, archived, everything
from vzinit import journal_file, journal_format
from vzinit.journal import Journal, about_unit, line_fields

MACHINE, BOOT, OTHER_BOOT = bytes(range(16)), bytes(range(16, 32)), bytes(range(32, 48))
SMALL = 64 * 1024  # the least limit
BOOT_FIELD = b"_BOOT_ID=" + BOOT.hex().encode()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return f"{tmp_path}/log/{MACHINE.hex()}/system.journal"


def journal(path: str, limit: int = SMALL) -> Journal:
    return Journal(path, MACHINE, BOOT, limit)


def line(number: int) -> list[bytes]:
    """One line of a service with a few fields that stay and two that change."""
    return [b"MESSAGE=line %d" % number, b"A=1", b"B=%d" % (number % 3), b"PRIORITY=6"]


def messages(path: str) -> list[int]:
    """The numbers of the lines in all files; each has all its fields."""
    found = []
    for entry in everything(path):
        (message,) = (field for field in entry.fields if field.startswith(b"MESSAGE="))
        found.append(int(message.split()[1]))
        assert entry.fields == {*line(found[-1]), BOOT_FIELD}
    return found


def test_hash() -> None:
    """The examples that its author gives (lookup3.c, driver5)."""
    assert journal_format.lookup3(b"") == 0xDEADBEEFDEADBEEF
    assert journal_format.lookup3(b"Four score and seven years ago") == 0x17770551CE7226E6


def test_one_line(path: str) -> None:
    log = journal(path)
    assert not os.path.exists(path)
    assert log.append([b"MESSAGE=hello", b"PRIORITY=6", b"MESSAGE=hello"], 1_000_000, 5)
    reader = Reader(path)
    assert (reader["state"], reader["machine_id"], reader["boot_id"]) == (ONLINE, MACHINE, BOOT)
    (entry,) = everything(path)
    assert (entry.seqnum, entry.realtime, entry.monotonic, entry.boot_id) == (1, 1_000_000, 5, BOOT)
    assert entry.fields == {b"MESSAGE=hello", b"PRIORITY=6", BOOT_FIELD}


def test_a_first_line_needs_two_pages(path: str) -> None:
    assert journal(path).append(line_fields("nginx.service", 4711, "nginx", b"x" * 80, 6))
    assert len(Reader(path).content.rstrip(b"\0")) <= 8192
    assert os.stat(path).st_mode & 0o777 == 0o640


NAME = st.from_regex(r"\A[A-Z_][A-Z0-9_]{0,20}\Z").map(str.encode)
FIELD = st.tuples(NAME, st.binary(max_size=600) | st.sampled_from([b"", b"\n", b"\0", b"a=b", b"1"])).map(b"=".join)


@settings(max_examples=60)
@given(st.lists(st.lists(FIELD, max_size=40), min_size=1, max_size=25))
def test_anything_comes_back(entries: list[list[bytes]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        log = journal(f"{directory}/system.journal", 1 << 20)
        for fields in entries:
            assert log.append(fields)
        found = everything(f"{directory}/system.journal")
    assert [entry.fields for entry in found] == [{*fields, BOOT_FIELD} for fields in entries]


def test_many_lines(path: str) -> None:
    log = journal(path, 4 << 20)
    for number in range(3000):
        assert log.append(line(number))
    assert messages(path) == [*range(3000)]
    assert [len(Reader(path).listed()[field]) for field in (b"A=1", b"B=2", b"MESSAGE=line 7")] == [3000, 1000, 1]


def test_more_data_than_are_remembered(path: str) -> None:
    """Their arrays are found in the file again."""
    log = journal(path, 4 << 20)
    for number in range(1500):
        assert log.append([b"N%d=%d" % (number % 50, number % 100), b"ALL=1"])
    assert len(Reader(path).listed()[b"N3=53"]) == 15
    everything(path)


def test_rotation(path: str) -> None:
    log = journal(path)
    for number in range(1000):
        assert log.append(line(number))
    (old,) = archived(path)
    kept = messages(path)
    assert kept == [*range(kept[0], 1000)] and kept[0] > 0
    first, second = Reader(old), Reader(path)
    assert (first["state"], second["state"]) == (ARCHIVED, ONLINE)
    assert first["seqnum_id"] == second["seqnum_id"] and first["file_id"] != second["file_id"]
    assert second["head_seqnum"] == first["tail_seqnum"] + 1
    name = f"system@{first['seqnum_id'].hex()}-{first['head_seqnum']:016x}-{first['head_realtime']:016x}.journal"
    assert os.path.basename(old) == name
    assert max(os.path.getsize(name) for name in (old, path)) <= SMALL


def test_long_chains_make_another_file(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attacker can choose lines of the same hash: that costs the log, but no time."""
    monkeypatch.setattr(journal_file, "CHAIN_MAX", 2)
    log = journal(path, 4 << 20)
    for number in range(800):
        assert log.append(line(number))
    assert archived(path) and messages(path)[-1] == 799


@pytest.mark.parametrize("close", [True, False])
def test_goes_on_in_a_file(path: str, close: bool) -> None:
    log = journal(path)
    for number in range(20):
        log.append(line(number))
    if close:
        log.close()
        assert Reader(path)["state"] == OFFLINE
    before = Reader(path)["file_id"]
    again = journal(path)
    assert again.append(line(20))
    assert Reader(path)["file_id"] == before and Reader(path)["state"] == ONLINE
    assert messages(path) == [*range(21)] and not archived(path)


def set_bytes(path: str, offset: int, new: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(new)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: set_bytes(path, 40, bytes(16)),  # of another machine
        lambda path: set_bytes(path, 12, b"\x04"),  # a flag
        lambda path: set_bytes(path, 16, b"\x02"),  # archived
        lambda path: set_bytes(path, 0, b"X"),
        lambda path: set_bytes(path, 136, b"\xff" * 8),  # the last object is nowhere
        lambda path: os.truncate(path, 3000),
        lambda path: os.truncate(path, 100),
        lambda path: os.truncate(path, 0),
    ],
)
def test_what_is_not_ours_is_put_aside(path: str, spoil: Callable[[str], None]) -> None:
    journal(path).append(line(1))
    spoil(path)
    content = Path(path).read_bytes()
    assert journal(path).append(line(2))
    (aside,) = archived(path)
    assert aside.endswith(".journal~") and Path(aside).read_bytes() == content
    assert [entry.seqnum for entry in Reader(path).entries()] == [1]


def test_a_removed_file_is_made_anew(path: str) -> None:
    log = journal(path)
    log.append(line(0))
    os.unlink(path)
    os.rmdir(os.path.dirname(path))
    assert log.append(line(1)) and messages(path) == [1]


def test_never_raises(path: str) -> None:
    os.makedirs(os.path.dirname(os.path.dirname(path)))
    Path(os.path.dirname(path)).write_bytes(b"in the way")
    log = journal(path)
    assert not log.append(line(0))
    os.unlink(os.path.dirname(path))
    assert not log.append([b"MESSAGE=" + b"x" * SMALL])
    assert log.append(line(0)) and messages(path) == [0]


def test_clocks(path: str) -> None:
    """Within a boot, the monotonic clock of entries never falls; a wall clock may."""
    log = journal(path)
    for realtime, monotonic in ((100, 50), (90, 40), (110, 60)):
        assert log.append(line(0), realtime, monotonic)
    log.boot_id = OTHER_BOOT
    assert log.append(line(0), 120, 1)
    found = everything(path)
    assert [(entry.realtime, entry.monotonic) for entry in found] == [(100, 50), (90, 50), (110, 60), (120, 1)]
    assert found[-1].boot_id == OTHER_BOOT and b"_BOOT_ID=" + OTHER_BOOT.hex().encode() in found[-1].fields


def test_fields() -> None:
    """What `journalctl -u` looks for: tests/root/test_vzinit_journal_reader.py asks it."""
    mine = line_fields("nginx.service", 7, "nginx", b"GET \xff\n", 6)
    assert {b"MESSAGE=GET \xff\n", b"_SYSTEMD_UNIT=nginx.service", b"_PID=7", b"PRIORITY=6"} < set(mine)
    ours = about_unit("nginx.service", "Started \u2026", 5)
    assert {"MESSAGE=Started \u2026".encode(), b"UNIT=nginx.service", b"_PID=1", b"PRIORITY=5"} < set(ours)
    assert b"_SYSTEMD_UNIT=nginx.service" not in ours
