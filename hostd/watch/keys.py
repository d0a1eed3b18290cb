"""Single keys from a terminal."""

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

_NAMES = {b"\x1b[A": "up", b"\x1b[B": "down", b"\x1bOA": "up", b"\x1bOB": "down", b"\r": "enter", b"\n": "enter"}
_ESCAPE_SECONDS = 0.05  # the rest of an arrow key comes at once, behind an escape that was typed comes nothing


class Keys:
    """Inside of this keys come as they are typed and are not echoed; ^C still interrupts."""

    def __init__(self) -> None:
        self._fd = sys.stdin.fileno()

    def __enter__(self) -> "Keys":
        self._before = termios.tcgetattr(self._fd)
        tty.setcbreak(self._fd)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

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

        Raises EOFError when the terminal is gone.
        """
        if not self._ready(until - time.monotonic()):
            return None
        found = os.read(self._fd, 1)
        if not found:
            raise EOFError
        if found == b"\x1b" and self._ready(_ESCAPE_SECONDS):
            found += os.read(self._fd, 2)
        return _NAMES.get(found) or found.decode(errors="replace")

    def _ready(self, seconds: float) -> bool:
        return bool(select.select([self._fd], [], [], max(0.0, seconds))[0])
