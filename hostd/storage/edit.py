"""Reading and writing files of a stopped container from the host.

*root* is the open root (a mount or a directory).  No link of the container's leads out of it, and what is
written belongs to the container's root: *owner* is the host's id of it (the uid base; 0 for a tree that is
not mapped).
"""

import os
import secrets

from hostd.kernel.fd import Fd
from hostd.kernel.mount import fsids, openat2


def read(root: Fd, path: str) -> bytes | None:
    """Content of *path* inside, None when there is none.  OSError for anything else."""
    try:
        file = openat2(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(file.steal(), "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def write(root: Fd, path: str, data: bytes, *, owner: int, mode: int = 0o644) -> None:
    """Replace *path* inside by a file of that content, atomically; a link at *path* is replaced, not
    followed.

    FileNotFoundError when its directory is missing.
    """
    folder, name = os.path.split(path)
    temporary = f".{name}.{secrets.token_hex(4)}"
    with openat2(root, folder or "/", os.O_RDONLY | os.O_DIRECTORY) as directory, fsids(owner, owner):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            with Fd.open(temporary, flags, 0o600, dir=directory) as file:
                _write_all(file, data)
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            os.rename(temporary, name, src_dir_fd=directory.fileno(), dst_dir_fd=directory.fileno())
        except BaseException:
            _unlink(temporary, directory)
            raise


def _write_all(file: Fd, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file.fileno(), rest) :]


def _unlink(name: str, directory: Fd) -> None:
    try:
        os.unlink(name, dir_fd=directory.fileno())
    except FileNotFoundError:
        pass
