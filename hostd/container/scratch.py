"""How much may be in /dev/shm and /run of a container that runs: a part of its RAM, as on a machine.

The whole of it there would be in the way of everything that has to be in RAM: memory of a tmpfs is nobody's whom the
kernel could kill for it.
"""

import errno
import os
from functools import partial

from hostd.cgroup import memory
from hostd.cgroup.tree import CtCgroup
from hostd.checkpoint.aside import bounded, commit
from hostd.container.container import Container
from hostd.container.mounts import SCRATCH
from hostd.kernel.fd import Fd
from hostd.kernel.mount import TMPFS, magic, openat2, reconfigure, shown_here
from hostd.kernel.namespace import root_of
from hostd.log import detail


async def fit(ct: Container) -> None:
    """The sizes that belong to the RAM which it may have now.  A place that holds more than that stays as large as it
    is, and so does what the guest has put there that is no tmpfs, or one that the host lends.
    """
    if ct.process is None:
        return
    ram = memory.ram(CtCgroup(ct.world.tree, ct.ctid))
    for one in SCRATCH:
        try:
            await bounded(partial(_resize, root_of(ct.process.pidfd), one.path, one.size(ram)))
        except OSError as error:
            detail(f"/{one.path} stays as large as it is: {error.strerror}")


def _resize(root: Fd, path: str, size: str) -> None:
    with root, openat2(root, path, os.O_PATH) as place:
        if magic(place) != TMPFS or shown_here(place):
            raise OSError(errno.EBUSY, "something else is mounted there", f"/{path}")
        if commit():
            reconfigure(place, {"size": size})
