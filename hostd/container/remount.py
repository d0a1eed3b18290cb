"""Other options for a file system of a container's that runs: what root inside may have put in its place is another
matter, and may be the host's.
"""

import errno
import os
from collections.abc import Mapping

from hostd.checkpoint.aside import bounded, commit
from hostd.kernel.fd import Fd
from hostd.kernel.mount import magic, openat2, reconfigure, shown_here
from hostd.kernel.namespace import root_of
from hostd.kernel.process import Process


async def remount(process: Process, path: str, kind: int, options: Mapping[str, str]) -> None:
    """Of the file system on *path* as *process* sees it, no slash at its head.  OSError where that is not of *kind*
    (`mount.magic`), or one that the host lends; TimeoutError when a guest's does not answer.
    """
    root = root_of(process.pidfd)
    await bounded(lambda: _remount(root, path, kind, options))


def _remount(root: Fd, path: str, kind: int, options: Mapping[str, str]) -> None:
    with root, openat2(root, path, os.O_PATH) as place:
        if magic(place) != kind or shown_here(place):
            raise OSError(errno.EBUSY, "something else is mounted there", f"/{path}")
        if commit():
            reconfigure(place, options)
