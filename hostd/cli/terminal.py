"""The terminal that the command was typed on: raw while a relay has it, and given back as it was.

By ioctl: the module termios is none of the interpreter's own, and so none of the command's (`images.client`).
"""

import fcntl
import sys

# asm-generic/ioctls.h and termbits.h: x86, ARM and RISC-V.
_TCGETS, _TCSETS, _TCSETSW = 0x5401, 0x5402, 0x5403  # get; set at once; set when all was written
_TIOCGWINSZ, _TIOCSWINSZ = 0x5413, 0x5414
_FLAG, _FLAGS = 4, 4  # struct termios begins with so many words of so many bytes: input, output, control, local
_VTIME, _VMIN = 22, 23  # then c_line and the c_cc[19] that these are of
_SIZE = 36
_IGNBRK, _BRKINT, _PARMRK, _ISTRIP, _INLCR, _IGNCR, _ICRNL, _IXON = 1, 2, 8, 0o40, 0o100, 0o200, 0o400, 0o2000
_OPOST = 1
_CSIZE, _CS8, _PARENB = 0o60, 0o60, 0o400
_ISIG, _ICANON, _ECHO, _ECHONL, _IEXTEN = 1, 2, 0o10, 0o100, 0o100000


class Terminal:
    """stdin, if it is a terminal; `is_one` is known once it was made raw."""

    def __init__(self) -> None:
        self._saved: bytes | None = None

    @property
    def is_one(self) -> bool:
        return self._saved is not None

    def make_raw(self) -> None:
        """Every byte is the container's."""
        try:
            settings = fcntl.ioctl(0, _TCGETS, bytes(_SIZE))
        except OSError:
            return
        self._saved = self._saved or settings
        fcntl.ioctl(0, _TCSETSW, raw(settings))

    def give_back(self) -> None:
        if self._saved:
            try:
                fcntl.ioctl(0, _TCSETS, self._saved)
            except OSError:
                pass  # the terminal is gone


def raw(settings: bytes) -> bytes:
    """No echo, no lines, no signals, no translation: as cfmakeraw(3)."""
    words = (settings[at : at + _FLAG] for at in range(0, _FLAG * _FLAGS, _FLAG))
    iflag, oflag, cflag, lflag = (int.from_bytes(word, sys.byteorder) for word in words)
    iflag &= ~(_IGNBRK | _BRKINT | _PARMRK | _ISTRIP | _INLCR | _IGNCR | _ICRNL | _IXON)
    oflag &= ~_OPOST
    cflag = cflag & ~(_CSIZE | _PARENB) | _CS8
    lflag &= ~(_ECHO | _ECHONL | _ICANON | _ISIG | _IEXTEN)
    flags = b"".join(flag.to_bytes(_FLAG, sys.byteorder) for flag in (iflag, oflag, cflag, lflag))
    rest = bytearray(settings[len(flags) :])
    rest[_VMIN - len(flags)], rest[_VTIME - len(flags)] = 1, 0
    return flags + rest


def copy_window_size(source: int, target: int) -> None:
    """Rows and columns of one terminal to another.  Raises OSError."""
    fcntl.ioctl(target, _TIOCSWINSZ, fcntl.ioctl(source, _TIOCGWINSZ, bytes(8)))
