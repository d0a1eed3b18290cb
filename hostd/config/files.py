"""Replacing a file as a whole: readers see the old text or the new one, a crash leaves one of them."""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO


def read(path: str) -> str:
    """The text of a file, of whatever bytes: `replace` writes them again.  OSError names *path*."""
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


@contextmanager
def open_regular(path: str) -> Iterator[IO[str]]:
    """A file that somebody names, to be read as it is: a FIFO must not keep the daemon.  OSError names *path*."""
    with open(path, encoding="utf-8", errors="surrogateescape", newline="", opener=_regular) as file:
        yield file


def _regular(path: str, flags: int) -> int:
    """An opener for `open`, which would keep a descriptor of a directory that it is handed."""
    fd = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return fd
    os.close(fd)
    number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
    raise OSError(number, os.strerror(number) if stat.S_ISDIR(mode) else "Not a regular file", path)


def replace(path: str, text: str, *, mode: int = 0o644) -> None:
    """Write *text* to *path* by tmp + fsync + rename; keeps the permissions of an existing file, else *mode*.

    A symlink stays one: its target is replaced.  OSError names *path*.
    """
    path = os.path.realpath(path)
    directory = os.path.dirname(path)
    with suppress(FileNotFoundError):
        mode = os.stat(path).st_mode & 0o7777
    fd, tmp = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", suffix=".tmp", dir=directory)
    try:
        with open(fd, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
            file.flush()
            os.fchmod(fd, mode)
            os.fsync(fd)
        os.rename(tmp, path)
    except BaseException:
        os.unlink(tmp)
        raise
    sync(directory)


def move(old: str, new: str) -> None:
    """rename(2) within a directory, durably; takes no room on a full disk."""
    os.rename(old, new)
    sync(os.path.dirname(new))


def remove(path: str) -> None:
    """Remove *path*, durably; none is fine."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    sync(os.path.dirname(path))


def sync(path: str) -> None:
    """Make a file durable, or what was renamed, linked or removed in a directory.  OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
