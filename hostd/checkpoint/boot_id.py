"""The boot id of the container's own, over the kernel's: by that, logs would take all of its lives for one.

The file is on a file system of its own, of which the container gets nothing else.  A restore makes it again.
"""

import os
import re

from hostd.kernel.boot import random_uuid
from hostd.kernel.fd import Fd
from hostd.kernel.mount import MountAttr, new_filesystem

BOOT_ID = "/proc/sys/kernel/random/boot_id"
FILE = "boot_id"
OPTIONS = {"source": "vz", "mode": "755", "size": "0"}  # no limit: `df` leaves it out
LENGTH = 36
_UUID = re.compile("-".join(f"[0-9a-f]{{{digits}}}" for digits in (8, 4, 4, 4, 12)))


def boot_id_of(pid: int) -> str:
    """That of the container whose PID 1 is *pid*; a new one if what is there is none."""
    try:
        with Fd.open(f"/proc/{pid}/root{BOOT_ID}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK) as file:
            found = os.read(file.fileno(), LENGTH).decode("ascii", "replace")
    except OSError:
        return random_uuid()
    return found if _UUID.fullmatch(found) else random_uuid()


def boot_id_tree(text: str) -> Fd:
    """A detached tmpfs with nothing but FILE."""
    mount = new_filesystem("tmpfs", OPTIONS, MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC)
    with open(f"{mount.path}/{FILE}", "w", encoding="ascii") as file:
        file.write(f"{text}\n")
    return mount
