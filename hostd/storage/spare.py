"""Inodes kept back, so that the overlay of a disk without a free inode can still be mounted.

Overlay makes and removes a few files in `work` at each mount, to try what the file system can do.  A container that
has used up its inodes could never be started again, not even to remove files.  So each image has some empty files
out of the container's reach: they go before such a mount, and come again behind it, before anything runs inside.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

DIRECTORY = "spare"
_NAMES = ("1", "2", "3", "4")  # overlay needs two at once
INODES = 1 + len(_NAMES)


def make(top: str) -> None:
    """Make the directory and its files below *top*, the content of a new image."""
    os.mkdir(os.path.join(top, DIRECTORY), 0o700)
    for name in _NAMES:
        os.mknod(os.path.join(top, DIRECTORY, name), 0o600)


@contextmanager
def released(disk: str) -> Iterator[None]:
    """Do without the files of the image mounted at *disk* meanwhile; one that was made without any has none."""
    paths = [os.path.join(disk, DIRECTORY, name) for name in _NAMES]
    for path in paths:
        with suppress(FileNotFoundError):
            os.unlink(path)
    try:
        yield
    finally:
        with suppress(OSError):  # fewer of them the next time
            for path in paths:
                os.mknod(path, 0o600)
