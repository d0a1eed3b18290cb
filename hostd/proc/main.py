"""The server of what containers see of themselves.  The keeper starts it, and again whenever it ends.

    python3 -ISE hostd/proc/__main__.py ROOT CONTROLLER=DIRECTORY...

ROOT is the cgroup of all containers, and each hierarchy is where its controllers say; "unified" is that of v2.
Descriptor 3 is the FUSE connection, 4 the memory with the request that is being worked on.
"""

import posix
from mmap import mmap

from hostd.proc.caller import Cgroups
from hostd.proc.files import Files
from hostd.proc.server import NOTE, Server
from hostd.proc.tree import Tree

FUSE, KEPT = 3, 4


def main(root: str, *places: str) -> None:
    name_process()
    if posix.fstat(KEPT).st_size < NOTE:  # nobody has used it before
        posix.ftruncate(KEPT, NOTE)
    cgroups = Cgroups(root, {word.partition("=")[0]: word.partition("=")[2] for word in places})
    files = Files(cgroups)
    tree = Tree(cgroups, lambda pid: files.text("online", pid))
    Server(FUSE, mmap(KEPT, NOTE), files, tree).serve()


def name_process() -> None:
    fd = posix.open("/proc/self/comm", posix.O_WRONLY)
    posix.write(fd, b"hostd-views")
    posix.close(fd)
