"""The runtime of PID 1: which directory becomes `/.vz` of a container, and how the program in it is started.

`images.runtime` builds `ROOT/HASH/`; the link `ROOT/current` names the newest one.  Older ones stay: a
checkpoint restores only onto the very files that it was dumped from.

Containers get a copy in memory, a tmpfs that the host mounts once for all of them.  They share its pages as they
would share a file's, and their mount tables and `df` show nothing of the host's disk.
"""

import os
import shutil
import threading
from contextlib import suppress

from hostd.errors import VzError
from hostd.kernel.mount import MountAttr, is_mounted, move_mount, new_filesystem, umount

CURRENT = "current"
MOUNT_POINT = "/.vz"
PROGRAM = f"{MOUNT_POINT}/bin/vzinit"
# Without a size, statfs(2) tells none and `df` leaves it out, where a full file system would raise alarms.
OPTIONS = {"source": "vz", "mode": "755", "size": "0", "nr_inodes": "0"}


def default_root() -> str:
    """`build/runtime` of the checkout or installation that this file belongs to."""
    here = os.path.dirname(os.path.abspath(__file__))
    return os.path.join(os.path.dirname(os.path.dirname(here)), "build", "runtime")


class Runtimes:
    """The runtimes built below *built*; each is mounted below *mounted* when the first container needs it.

    `newest` is the name of the one for new containers.  Raises VzError when none was built.
    """

    def __init__(self, built: str, mounted: str) -> None:
        self._built = built
        self._mounted = mounted
        self._making = threading.Lock()
        self.newest = os.path.basename(os.path.realpath(os.path.join(built, CURRENT)))
        if not _is_runtime(f"{built}/{self.newest}"):
            raise VzError(f"there is no runtime for PID 1 in {built}", hint="run `make build`")

    def at(self, name: str) -> str:
        """Where the runtime *name* is mounted, from now on.  Raises VzError when there is none of that name."""
        place = f"{self._mounted}/{name}"
        with self._making:
            if not _is_runtime(place):
                self._make(name, place)
        return place

    def _make(self, name: str, place: str) -> None:
        """It appears when it is complete."""
        built = f"{self._built}/{name}"
        if not _is_runtime(built):
            raise VzError(f"the runtime {built} is gone", hint="restore it, or `make build` the version it came from")
        with new_filesystem("tmpfs", OPTIONS, MountAttr.NOSUID | MountAttr.NODEV) as mount:
            shutil.copytree(built, mount.path, symlinks=True, dirs_exist_ok=True)
            os.makedirs(place, mode=0o700, exist_ok=True)
            move_mount(mount, place)

    def leave(self, *, but: str = "") -> None:
        """Unmount all others than *but*.  Containers keep theirs: they have mounts of their own."""
        for name in os.listdir(self._mounted) if os.path.isdir(self._mounted) else ():
            place = f"{self._mounted}/{name}"
            if name != but:
                while is_mounted(place):
                    umount(place, detach=True)
                with suppress(OSError):
                    os.rmdir(place)


def _is_runtime(path: str) -> bool:
    return os.path.exists(f"{path}/bin/vzinit")


def argv() -> tuple[str, ...]:
    """Command line of PID 1."""
    return (PROGRAM,)
