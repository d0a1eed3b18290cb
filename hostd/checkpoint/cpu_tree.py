"""/sys/devices/system/cpu of a restored container, where this host has no server for one of its own."""

import os

from hostd.kernel.fd import Fd
from hostd.kernel.mount import MountAttr, mount_setattr, new_filesystem, open_tree
from hostd.kernel.spawn import LOCKED_DOWN
from hostd.proc.points import CPU, KERNELS


def processors(*, links: bool) -> Fd:
    """A detached mount that shows all of the host's; with *links* it has a place where the kernel's own is mounted, and
    leads there.
    """
    if not links:
        return open_tree(CPU)
    tree = new_filesystem("tmpfs", {"source": "processors", "mode": "755"}, LOCKED_DOWN)
    os.mkdir(f"{tree.path}/{KERNELS}")
    for name in os.listdir(CPU):
        os.symlink(f"{KERNELS}/{name}", f"{tree.path}/{name}")
    mount_setattr(tree, set=MountAttr.RDONLY)
    return tree
