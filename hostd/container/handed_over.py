"""Descriptors that a guest hands over: what they are, and how to be rid of them.

Behind one may be a file of a FUSE server of the guest's, which answers fstat(2) and close(2) when it likes; a TCP
socket whose lock somebody keeps, or which lingers; or a Unix socket with such in its queue.  So what a descriptor is,
is asked of nothing but the kernel's own tables, and what is not wanted is closed by a thread.
"""

import fcntl
import os
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

from hostd.cli import wire
from hostd.kernel.fd import Fd

MOST_LEFT = 1000  # descriptors of one container that wait to be closed
_PROTOCOL = "system.sockprotoname"  # what sockfs says of a socket by itself, as "TCP" or "UNIX-STREAM"


class Kind(Enum):
    MEMORY = "memory"  # memfd_create(2), or a file of tmpfs
    TERMINAL = "terminal"  # the master of a pseudo-terminal
    UNIX = "unix"  # a socket that is on this machine alone
    OTHER = "other"


def kind(fd: Fd) -> Kind:
    """Without a question to whoever is behind it."""
    try:
        if os.readlink(fd.path).startswith("socket:"):  # no path begins so
            return Kind.UNIX if os.getxattr(fd.fileno(), _PROTOCOL).startswith(b"UNIX") else Kind.OTHER
        with open(f"/proc/self/fdinfo/{fd.fileno()}", encoding="ascii") as file:
            if "\ntty-index:" in file.read():
                return Kind.TERMINAL
        fcntl.fcntl(fd.fileno(), fcntl.F_GET_SEALS)
    except OSError:
        return Kind.OTHER
    return Kind.MEMORY


class Disposal:
    """Where one container's unwanted descriptors go: a thread, while there are any.  A close that takes for ever takes
    nobody's time but theirs.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()
        self._working = False

    def take(self, fds: list[Fd]) -> bool:
        """Close *fds* some time; False when too many wait for that."""
        for fd in fds:
            self._later(fd.close)
        fds.clear()
        return len(self._waiting) <= MOST_LEFT

    def take_channel(self, end: socket.socket) -> None:
        """The channel itself: nobody says anything by it any more, through whatever copy, and what is queued goes."""
        with suppress(OSError):  # it is not connected any more
            end.shutdown(socket.SHUT_RDWR)
        self._later(lambda: _empty(end))

    def _later(self, work: Callable[[], None]) -> None:
        with self._lock:
            self._waiting.append(work)
            if self._working:
                return
            self._working = True
        threading.Thread(target=self._work_off, name="disposal", daemon=True).start()

    def _work_off(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._working = False
                    return
                work = self._waiting.popleft()
            with suppress(OSError):
                work()
            del work


def _empty(end: socket.socket) -> None:
    """Close what is queued, then *end*: whoever closed it last, the keeper, would have to do all that."""
    with end, suppress(OSError):  # BlockingIOError: there is no more
        while True:
            data, control, _, _ = end.recvmsg(1, wire.SPACE, socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT)
            given = wire.descriptors(control)
            wire.close_all(given)
            if not data and not given:
                return
