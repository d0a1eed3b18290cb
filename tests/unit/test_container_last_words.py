"""The last words of a container, as the host reads them."""

import os

import pytest

from hostd.container import last_words
from hostd.kernel.fd import Fd


def said(data: bytes, count: int = 10) -> list[str]:
    with last_words.create(os.geteuid()) as words:
        os.write(words.fileno(), data)
        return last_words.lines(words, count)


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"one\r\n\r\n  two  \n", ["one", "  two"]),
        (b"\x1b]0;title\x07 \xff \xe2\x80\xaeevil\0", [r"\x1b]0;title\x07" + " \ufffd " + r"\u202eevil"]),
        (b"a\tb\rc", [r"a b\rc"]),
        (b"x" * 5000, ["x" * last_words.LONGEST]),
    ],
)
def test_lines(data: bytes, lines: list[str]) -> None:
    assert said(data) == lines


def test_only_the_last() -> None:
    assert said(b"".join(b"%d\n" % number for number in range(50000)), 2) == ["49998", "49999"]


def test_a_memory_file_and_nothing_else() -> None:
    """A container may answer with any descriptor; only a memory file can be read without waiting."""
    with last_words.create(os.geteuid()) as words:
        assert last_words.is_memory(words)
    reader, writer = os.pipe()
    with Fd(reader) as pipe, Fd(writer):
        assert not last_words.is_memory(pipe)
    with Fd.open(__file__, os.O_RDONLY) as file:
        assert not last_words.is_memory(file)


def test_nothing_to_read() -> None:
    assert last_words.lines(None, 3) == []
    reader, writer = os.pipe()
    with Fd(reader) as pipe, Fd(writer):
        assert last_words.lines(pipe, 3) == []
