"""The init that an image has, by the name of its program."""

import posix

from vzinit import fds

INITS = ("/sbin/init", "/etc/init", "/bin/init")  # in the order of OpenVZ


def path() -> str:
    """The first of INITS that can be executed; "" when there is none."""
    return next((path for path in INITS if fds.is_program(path)), "")


def name() -> str:
    """What it is: `systemd`, `init`, `busybox`, `runit-init`, `openrc-init`...  "" without one."""
    found = path()
    return resolved(found).rpartition("/")[2] if found else ""


def resolved(path: str) -> str:
    """What *path* leads to, with all links followed."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.readlink(f"/proc/self/fd/{fd}")
    finally:
        posix.close(fd)
