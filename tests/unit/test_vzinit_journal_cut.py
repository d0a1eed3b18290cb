"""The log of the container when things go wrong: killed or out of space at any write, or tampered with by root."""

import errno
import os
import posix
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.journal_reader import Entry, Reader, archived
from vzinit.journal import Journal

MACHINE, BOOT = bytes(range(16)), bytes(range(16, 32))
SMALL = 64 * 1024
CHANGES = ("pwrite", "ftruncate", "rename", "unlink")
# Lines before the one that is cut off: none, some, one that needs new arrays, and one that rotates (found by asking).
BEFORE = [0, 5, 13, -1]


def line(number: int) -> list[bytes]:
    return [b"MESSAGE=line %d" % number + b"." * 900, b"A=1", b"B=%d" % (number % 3), b"N%d=%d" % (number, number)]


def fields(number: int) -> frozenset[bytes]:
    return frozenset([*line(number), b"_BOOT_ID=" + BOOT.hex().encode()])


class Killed(BaseException):
    """No handler of errors may hold this up."""


@contextmanager
def failing(at: int, fail: Callable[[], int]) -> Iterator[None]:
    """Change number *at* of files, and all later ones, do not happen."""
    count = 0

    def counted(real: Callable[..., int | None]) -> Callable[..., int | None]:
        def change(*arguments: object) -> int | None:
            nonlocal count
            count += 1
            return real(*arguments) if count <= at else fail()

        return change

    with pytest.MonkeyPatch.context() as patch:
        for name in CHANGES:
            patch.setattr(posix, name, counted(getattr(posix, name)))
        yield


def kill() -> int:
    raise Killed


def no_space() -> int:
    raise OSError(errno.ENOSPC, "full")


def short_write() -> int:
    return 5


def filled(directory: Path, lines: int) -> tuple[Journal, str, int]:
    """A journal with so many lines in a new directory; how many there are."""
    path = f"{directory}/system.journal"
    log = Journal(path, MACHINE, BOOT, SMALL)
    count = lines if lines >= 0 else lines_of_a_file(directory / "asked")
    for number in range(count):
        assert log.append(line(number))
    assert not archived(path)
    return log, path, count


def lines_of_a_file(directory: Path) -> int:
    log, path, count = filled(directory, 0)
    while not archived(path):
        assert log.append(line(count))
        count += 1
    return count - 1


def whole(path: str) -> list[Entry]:
    """All entries of a file at any moment, and of every search."""
    reader = Reader(path)
    for field, offsets in reader.listed().items():
        assert all(not offset or field in reader.entry(offset)[0].fields for offset in offsets)
    return reader.entries()


def present(path: str) -> list[frozenset[bytes]]:
    """What a reader of the whole directory sees."""
    files = [*archived(path), *([path] if os.path.exists(path) else [])]
    return [entry.fields for name in files for entry in whole(name)]


@pytest.mark.parametrize("before", BEFORE)
def test_killed_at_any_moment(tmp_path: Path, before: int) -> None:
    """Readers see the lines before it, or that one as well; who comes later can write."""
    for at in range(200):
        log, path, count = filled(tmp_path / str(at), before)
        done = False
        with failing(at, kill):
            try:
                done = log.append(line(count))
            except Killed:
                pass
        expected = [fields(number) for number in range(count)]
        assert present(path) in (expected, [*expected, fields(count)])
        again = Journal(path, MACHINE, BOOT, SMALL)
        assert again.append(line(1000)) and present(path)[-1] == fields(1000)
        Reader(path).check()
        assert len(archived(path)) <= 1
        if done:
            return
    raise AssertionError("it never ends")


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("fail", [no_space, short_write])
def test_no_space_at_any_moment(tmp_path: Path, before: int, fail: Callable[[], int]) -> None:
    """The line is lost, not those before it, and the next one is written when there is space."""
    for at in range(200):
        log, path, count = filled(tmp_path / str(at), before)
        with failing(at, fail):
            done = log.append(line(count))
            assert done or not log.append(line(count))
        expected = [fields(number) for number in range(count)]
        assert present(path) in (expected, [*expected, fields(count)])
        assert log.append(line(1000)) and present(path)[-1] == fields(1000)
        Reader(path).check()
        if done:
            return
    raise AssertionError("it never ends")


def test_no_space_for_the_new_objects_costs_nothing_else(tmp_path: Path) -> None:
    """The only failure that a full disk causes: it leaves the file as it was."""
    log, path, _ = filled(tmp_path, 5)
    real, first = posix.pwrite, [True]

    def some(fd: int, data: bytes, offset: int) -> int:
        written = real(fd, data[: len(data) // 2] if first[0] else data, offset)
        first[0] = False
        return written

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posix, "pwrite", some)
        assert not log.append(line(5))
        assert log.append(line(6))
    assert present(path) == [*map(fields, range(5)), fields(6)] and not archived(path)
    Reader(path).check()


@pytest.mark.parametrize("seed", range(40))
def test_tampered_with(tmp_path: Path, seed: int) -> None:
    """Root inside can write to the file.  Whatever is in it, PID 1 goes on, and soon in a file that is in order."""
    dice = random.Random(seed)
    log, path, _ = filled(tmp_path, 30)
    with open(path, "r+b") as file:
        for _ in range(dice.choice([1, 5, 50, 500])):
            file.seek(dice.randrange(dice.choice([272, 6000, 48000])) // 8 * 8)
            file.write(dice.choice([0, 1, 2**63, 2**64 - 1, dice.randrange(48000), dice.randrange(48000) // 8 * 8])
                       .to_bytes(8, "little"))  # fmt: skip
    if dice.random() < 0.5:
        log = Journal(path, MACHINE, BOOT, SMALL)
    for number in range(500):
        log.append(line(number))
    assert whole(path)[-1].fields == fields(499)
