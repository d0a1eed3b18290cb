"""How much may be in /dev/shm and /run of a container that runs: a part of its RAM, as on a machine.

The whole of it there would be in the way of everything that has to be in RAM: memory of a tmpfs is nobody's whom the
kernel could kill for it.
"""

from hostd.cgroup import memory
from hostd.cgroup.tree import CtCgroup
from hostd.container.container import Container
from hostd.container.mounts import SCRATCH
from hostd.container.remount import remount
from hostd.kernel.mount import TMPFS
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
            await remount(ct.process, one.path, TMPFS, {"size": one.size(ram)})
        except OSError as error:
            detail(f"/{one.path} stays as large as it is: {error.strerror}")
