"""A FUSE connection: the descriptor that its server reads from, and the file system, detached."""

import os

from hostd.kernel.fd import Fd
from hostd.kernel.mount import MountAttr, new_filesystem

DEVICE = "/dev/fuse"
_ATTRIBUTES = MountAttr.RDONLY | MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC


def new_connection(name: str) -> tuple[Fd, Fd]:
    """The connection and a mount of a read-only directory, which mountinfo calls `fuse.NAME`; OSError.

    It belongs to this user namespace: that of the host, whose numbers the server is told of processes.  Whoever closes
    the last descriptor of the connection ends it: every call on its files then fails at once (ENOTCONN).
    """
    connection = Fd.open(DEVICE, os.O_RDWR)
    options: dict[str, str | Fd | None] = {
        "source": name,
        "subtype": name,
        "fd": str(connection.fileno()),
        "rootmode": "40555",
        "user_id": "0",
        "group_id": "0",
        "allow_other": None,  # the containers
    }
    return connection, new_filesystem("fuse", options, _ATTRIBUTES)
