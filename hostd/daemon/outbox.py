"""Frames on their way into a socket of the event loop, in order, and never waited for."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable

from hostd.cli import wire
from hostd.kernel.fd import Fd


class Outbox:
    """What *sock*, which does not block, has not taken yet.  *on_error* is told when it takes nothing more."""

    def __init__(self, sock: socket.socket, on_error: Callable[[OSError], None]) -> None:
        self._sock = sock
        self._on_error = on_error
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[bytes, Fd | None]] = deque()

    def put(self, frame: bytes, fd: Fd | None = None) -> None:
        """Send *frame*, at once if that can be, and close *fd*, a copy of which went with it."""
        self._waiting.append((frame, fd))
        if len(self._waiting) == 1:
            self._flush()

    def clear(self) -> None:
        """Send nothing of what waits."""
        self._loop.remove_writer(self._sock)
        while self._waiting:
            _taken(self._waiting.popleft())

    def _flush(self) -> None:
        while self._waiting:
            frame, fd = self._waiting[0]
            try:
                wire.send(self._sock, frame, [fd.fileno()] if fd else [])
            except BlockingIOError:
                self._loop.add_writer(self._sock, self._flush)
                return
            except OSError as error:
                self._on_error(error)
                return
            _taken(self._waiting.popleft())
        self._loop.remove_writer(self._sock)


def _taken(entry: tuple[bytes, Fd | None]) -> None:
    if entry[1]:
        entry[1].close()
