"""/sys/devices/system/cpu of a restored container, where this host has no server for one of its own."""

import os

from hostd.kernel.fd import Fd
from hostd.kernel.mount import MountAttr, mount_setattr, new_filesystem
from hostd.kernel.spawn import LOCKED_DOWN
from hostd.proc import processors as server
from hostd.proc.points import CPU, KERNELS


def processors() -> Fd:
    """A detached mount that shows all of the host's as the server would, with a place for the kernel's own."""
    tree = new_filesystem("tmpfs", {"source": "processors", "mode": "755"}, LOCKED_DOWN)
    os.mkdir(f"{tree.path}/{KERNELS}")
    for name in os.listdir(CPU):
        cpu = server.cpu_of(name)
        if cpu < 0:
            os.symlink(server.target(server.TOP, name), f"{tree.path}/{name}")
            continue
        os.mkdir(f"{tree.path}/{name}")
        for part in os.listdir(f"{CPU}/{name}"):
            os.symlink(server.target(server.place_of(cpu), part), f"{tree.path}/{name}/{part}")
    mount_setattr(tree, set=MountAttr.RDONLY)
    return tree
