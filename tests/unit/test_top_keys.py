"""Keys and signals of vztop, on a terminal of the test's."""

import os
import signal
import sys
import termios
import time
from collections.abc import Iterator

import pytest

from hostd.watch.keys import Keys


@pytest.fixture
def master(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """What is written to it is typed."""
    master, slave = os.openpty()
    with os.fdopen(slave) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield master
    os.close(master)


def typed(keys: Keys, number: int) -> list[str | None]:
    return [keys.next(time.monotonic() + 10) for _ in range(number)]


@pytest.mark.parametrize("key", [b"\x1b[1;2S", b"\x1b[15~", b"\x1bOP", b"\x1bS", b"\x1b[6~"])
def test_a_key_that_means_nothing_is_one_key(master: int, key: bytes) -> None:
    """Shift-F4 is no S, which would stop somebody."""
    with Keys() as keys:
        os.write(master, key + b"q")
        first, second = typed(keys, 2)
    assert first not in ("S", "up", "down", None) and second == "q"


def test_keys_in_one_go(master: int) -> None:
    with Keys() as keys:
        os.write(master, b"t\x1b[B\x1bOA\rq")
        assert typed(keys, 5) == ["t", "down", "up", "enter", "q"]
        assert keys.next(time.monotonic()) is None


def test_signals_come_as_keys(master: int) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGWINCH, signal.SIGTSTP, signal.SIGTERM)]
    with Keys() as keys:
        os.kill(os.getpid(), signal.SIGWINCH)
        assert typed(keys, 1) == ["resize"]
        os.kill(os.getpid(), signal.SIGTSTP)
        assert typed(keys, 1) == ["pause"]
    assert [signal.getsignal(number) for number in (signal.SIGWINCH, signal.SIGTSTP, signal.SIGTERM)] == before


def test_the_terminal_is_as_before_when_it_is_terminated(master: int) -> None:
    before = termios.tcgetattr(sys.stdin)
    with pytest.raises(SystemExit) as ended, Keys() as keys:
        assert termios.tcgetattr(sys.stdin) != before
        os.kill(os.getpid(), signal.SIGTERM)
        typed(keys, 1)
    assert ended.value.code == 143
    assert termios.tcgetattr(sys.stdin) == before
