"""FUSE connections: that of ours, as the descriptor that its server reads from and the file system, detached; and the
end of those of others.
"""

import os
from contextlib import suppress

from hostd.kernel.fd import Fd
from hostd.kernel.mount import MountAttr, new_filesystem

DEVICE = "/dev/fuse"
_LOADED = "/sys/fs/fuse"  # who asks for the file system of its connections otherwise loads the module
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


def abort_connections(owners: range) -> None:
    """End every connection that a user in *owners* has mounted: whoever waits for its server gets an error, also in a
    call that no signal ends.  A process that has the descriptor of that server open itself would never end.  OSError.
    """
    if not os.path.isdir(_LOADED):
        return
    with new_filesystem("fusectl", {}) as control:
        for number in os.listdir(control.path):
            with suppress(FileNotFoundError):  # it has ended meanwhile
                if os.stat(f"{control.path}/{number}").st_uid in owners:
                    with Fd.open(f"{control.path}/{number}/abort", os.O_WRONLY) as abort:
                        os.write(abort.fileno(), b"1")
