"""What a terminal showed last, in a memory file: it outlives PID 1 when the host holds it too.

The ring of the first console is descriptor 2, which the host made: what the interpreter itself has to say, from its
first instruction to its last traceback, is in it as well.  The end of the text is the position of the descriptor.
"""

import posix

KEPT = 64 * 1024  # bytes kept for who comes later
LIMIT = 2 * KEPT  # then all but the last KEPT bytes are dropped
SEEK_SET, SEEK_CUR = 0, 1


class Ring:
    """The last bytes of one terminal; also the interpreter's `sys.stderr`."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd
        posix.set_inheritable(fd, False)

    def add(self, data: bytes) -> None:
        try:
            posix.write(self.fd, data)
            if self._end() > LIMIT:
                self._shrink()
        except OSError:
            pass  # no memory: nobody can be told

    def _end(self) -> int:
        return posix.lseek(self.fd, 0, SEEK_CUR)

    def _shrink(self) -> None:
        """The last bytes go to the front first: whenever we are killed, they are in the file."""
        last = self.tail()
        posix.pwrite(self.fd, last, 0)
        posix.ftruncate(self.fd, len(last))
        posix.lseek(self.fd, len(last), SEEK_SET)

    def tail(self) -> bytes:
        return posix.pread(self.fd, KEPT, max(0, self._end() - KEPT))

    # What the interpreter asks of a stderr.

    def write(self, text: str) -> None:
        self.add(text.encode("utf-8", "backslashreplace"))

    def flush(self) -> None:
        """Nothing is held back."""


def new(name: str) -> Ring:
    """A ring that only we hold.  Raises OSError."""
    return Ring(posix.memfd_create(name, posix.MFD_CLOEXEC))
