"""/run/initctl and /dev/initctl: the FIFO on which `telinit`, `init 6` and `shutdown` of sysvinit (and of
systemd, when PID 1 is not systemd) ask PID 1 for a runlevel.

A request is `struct init_request` of sysvinit's initreq.h, 384 bytes:
int magic; int command; int runlevel; int sleeptime; char data[368].
"""

import posix
import sys

from vzinit import fds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vzinit.loop import Loop

FIFO = "/run/initctl"
LINK = "/dev/initctl"
MAGIC = 0x03091969
SIZE = 384
DATA = 16  # offset
SET_RUNLEVEL, POWER_FAILS, SET_ENVIRONMENT = 1, 2, 6
RUNLEVELS = {
    "0": "poweroff",
    "6": "reboot",
}  # every other one is where we are, or a request to read inittab again


class Initctl:
    """`on_request("reboot")` for each request that means a stop."""

    def __init__(self, loop: "Loop", on_request: "Callable[[str], None]") -> None:
        self._on_request = on_request
        self._loop = loop
        self._halt = "poweroff"  # what runlevel 0 means: `shutdown -H` sets INIT_HALT=HALT first
        self._fd = -1

    def open(self) -> None:
        """Make the FIFO and listen.  Raises OSError."""
        for path in (FIFO, LINK):
            try:
                posix.unlink(path)
            except OSError:
                pass
        posix.mkfifo(FIFO, 0o600)
        posix.symlink(FIFO, LINK)
        # Open for writing too: without a writer the FIFO would be at its end for ever.
        self._fd = posix.open(FIFO, posix.O_RDWR | posix.O_NONBLOCK | posix.O_CLOEXEC)
        self._loop.watch(self._fd, lambda _events: self._receive())

    def close(self) -> None:
        """Make room for somebody else's."""
        self._loop.unwatch(self._fd)
        fds.close(self._fd)
        for path in (FIFO, LINK):
            posix.unlink(path)

    def _receive(self) -> None:
        """Writes of up to PIPE_BUF bytes are atomic: requests never mix."""
        request = posix.read(self._fd, SIZE)
        command, runlevel = parse(request)
        if command == SET_ENVIRONMENT:
            self._environment(request[DATA:])
        elif command == POWER_FAILS:
            self._on_request("poweroff")
        elif command == SET_RUNLEVEL and runlevel in RUNLEVELS:
            self._on_request(self._halt if runlevel == "0" else RUNLEVELS[runlevel])

    def _environment(self, data: bytes) -> None:
        for item in data.split(b"\0"):
            if item.startswith(b"INIT_HALT="):
                self._halt = "halt" if item == b"INIT_HALT=HALT" else "poweroff"


def parse(request: bytes) -> tuple[int, str]:
    """Command and runlevel; (0, "") for anything that is not a request."""
    numbers = [int.from_bytes(request[at : at + 4], sys.byteorder) for at in (0, 4, 8)]
    if len(request) < SIZE or numbers[0] != MAGIC:
        return 0, ""
    return numbers[1], chr(numbers[2] & 0x7F)


def request(command: int, runlevel: str) -> bytes:
    """The bytes of one request, as `telinit` sends them."""
    numbers = (MAGIC, command, ord(runlevel), 0)
    return b"".join(number.to_bytes(4, sys.byteorder) for number in numbers) + bytes(SIZE - DATA)
