"""Single keys from a terminal, and the signals that concern it."""

import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

_NAMES = {b"\x1b[A": "up", b"\x1b[B": "down", b"\x1bOA": "up", b"\x1bOB": "down", b"\r": "enter", b"\n": "enter"}
_SIGNALS = {signal.SIGWINCH: "resize", signal.SIGTSTP: "pause"}
_ESCAPE_SECONDS = 0.05  # the rest of an arrow key comes at once, behind an escape that was typed comes nothing


def _noted(number: int, frame: FrameType | None) -> None:
    """Python has written it to the wakeup descriptor."""


def _end(number: int, frame: FrameType | None) -> None:
    """In order, and so with the terminal as it was."""
    raise SystemExit(128 + number)


_HANDLERS = {**dict.fromkeys(_SIGNALS, _noted), signal.SIGTERM: _end}


class Keys:
    """Inside of this keys come as they are typed and are not echoed; ^C still interrupts, and SIGTERM ends in order."""

    def __init__(self) -> None:
        self._fd = sys.stdin.fileno()

    def __enter__(self) -> "Keys":
        self._before = termios.tcgetattr(self._fd)
        self._came, self._comes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._comes, warn_on_full_buffer=False)
        self._handlers = {number: signal.signal(number, handler) for number, handler in _HANDLERS.items()}
        tty.setcbreak(self._fd)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        os.close(self._came)
        os.close(self._comes)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Meanwhile the terminal is as it was before, for another program."""
        termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
        try:
            yield
        finally:
            tty.setcbreak(self._fd)

    def next(self, until: float) -> str | None:
        """The key, as its character or `up`, `down`, `enter`; None when none comes before the monotonic time *until*.

        `resize`: the terminal has another size; `pause`: ^Z was typed.  Raises EOFError when the terminal is gone.
        """
        ready, _, _ = select.select([self._fd, self._came], [], [], max(0.0, until - time.monotonic()))
        if self._came in ready:
            return _SIGNALS.get(signal.Signals(os.read(self._came, 1)[0]), "resize")
        if not ready:
            return None
        found = os.read(self._fd, 1)
        if not found:
            raise EOFError
        if found == b"\x1b":
            found += self._sequence()
        return _NAMES.get(found) or found.decode(errors="replace")

    def _sequence(self) -> bytes:
        """What a key sends behind an escape: a bracket, figures, and the letter that ends it."""
        found = b""
        while select.select([self._fd], [], [], _ESCAPE_SECONDS)[0]:
            found += (letter := os.read(self._fd, 1))
            if not letter or (found not in (b"[", b"O") and b"@" <= letter <= b"~"):
                break
        return found
