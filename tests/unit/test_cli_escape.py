"""ESC . and ESC ! count at the start of a line only, however the bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.cli.escape import ATTENTION, DETACH, Escapes


@pytest.mark.parametrize(
    ("typed", "passed", "commands"),
    [
        (b"\x1b.", b"", [DETACH]),
        (b"ls\r\x1b.", b"ls\r", [DETACH]),
        (b"ls\n\x1b.more", b"ls\n", [DETACH]),
        (b"a\x1b.", b"a\x1b.", []),
        (b"\x1b!\x1b!x", b"x", [ATTENTION, ATTENTION]),
        (b"\x1b[A", b"\x1b[A", []),
        (b"\x1b\x1b.", b"\x1b\x1b.", []),
        (b"\x1b\r\x1b.", b"\x1b\r", [DETACH]),
        (b"\x1b[A\x1b.", b"\x1b[A\x1b.", []),
        (b"\x1b", b"", []),
    ],
)
def test_at_the_start_of_a_line(typed: bytes, passed: bytes, commands: list[int]) -> None:
    assert Escapes().feed(typed) == (passed, commands)


KEYS = st.lists(st.sampled_from([b"\x1b", b"!", b"\r", b"\n", b"a", b"\xff"])).map(b"".join)


@given(KEYS, st.integers(min_value=1, max_value=5))
def test_cutting_makes_no_difference(typed: bytes, size: int) -> None:
    whole, parts = Escapes(), Escapes()
    passed, commands = b"", []
    for at in range(0, len(typed), size):
        more, new = parts.feed(typed[at : at + size])
        passed += more
        commands += new
    assert (passed, commands) == whole.feed(typed)


@given(st.binary())
def test_nothing_else_is_changed(typed: bytes) -> None:
    plain = typed.replace(b"\x1b", b"")
    assert Escapes().feed(plain) == (plain, [])
