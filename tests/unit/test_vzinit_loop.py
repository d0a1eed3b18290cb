"""The loop of PID 1."""

import os

import pytest

from vzinit.loop import Loop


def pipe_with_a_byte() -> int:
    """A reading end that is ready."""
    reader, writer = os.pipe()
    os.write(writer, b"x")
    os.close(writer)
    return reader


def test_a_number_that_is_used_again_is_another_descriptor() -> None:
    """Of two that are ready, whichever comes first closes the other and opens one that is not ready."""
    loop = Loop(lambda _where, error: pytest.fail(repr(error)))
    both = [pipe_with_a_byte(), pipe_with_a_byte()]
    called: list[str] = []
    writers: list[int] = []

    def first(mine: int, other: int) -> None:
        called.append("first")
        loop.unwatch(mine)
        loop.unwatch(other)
        os.close(other)
        reader, writer = os.pipe()
        assert reader == other, "the number is used again"
        writers.append(writer)
        loop.watch(reader, lambda _events: called.append("not ready"))

    for mine, other in (both, reversed(both)):
        loop.watch(mine, lambda _events, mine=mine, other=other: first(mine, other))  # type: ignore[misc]
    loop.turn()
    assert called == ["first"]
    os.write(writers[0], b"x")
    loop.turn()
    assert called == ["first", "not ready"]
    for number in (*both, *writers):
        os.close(number)
