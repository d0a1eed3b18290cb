"""Pseudo terminals of the container's own devpts."""

import fcntl
import posix
import sys

# ioctl numbers of asm-generic/ioctls.h: x86, arm and every other architecture that we build for.
TIOCSWINSZ = 0x5414
TIOCGPTN = 0x80045430
TIOCSPTLCK = 0x40045431
TIOCGPTPEER = 0x5441


def open_pty(rows: int = 0, columns: int = 0) -> "tuple[int, int]":
    """A new pseudo terminal: (master, slave), both close-on-exec.  Raises OSError."""
    master = posix.open("/dev/ptmx", posix.O_RDWR | posix.O_NOCTTY | posix.O_CLOEXEC)
    try:
        fcntl.ioctl(master, TIOCSPTLCK, bytes(4))
        if rows and columns:
            resize(master, rows, columns)
        flags = posix.O_RDWR | posix.O_NOCTTY | posix.O_CLOEXEC
        return master, fcntl.ioctl(master, TIOCGPTPEER, flags)
    except BaseException:
        posix.close(master)
        raise


def resize(master: int, rows: int, columns: int) -> None:
    """Set the window size; the foreground processes get SIGWINCH."""
    sizes = (rows, columns, 0, 0)
    fcntl.ioctl(master, TIOCSWINSZ, b"".join(size.to_bytes(2, sys.byteorder) for size in sizes))


def slave_name(master: int) -> str:
    """The path of the other end, as programs see it."""
    number = fcntl.ioctl(master, TIOCGPTN, bytes(4))
    return f"/dev/pts/{int.from_bytes(number, sys.byteorder)}"
