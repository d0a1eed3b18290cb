"""Units without processes (timers, targets, sockets) that were started or stopped by hand: an empty file each.

Up to that they are as the boot left them: on, if it pulled them in.
"""

import posix

from vzinit import fds

PLACE = "/run/vzinit/units"
ON, OFF = "on", "off"


def switch(name: str, on: bool) -> None:
    """From now on, and not since earlier, *name* is on, or off.  Raises OSError."""
    for word, wanted in ((ON, on), (OFF, not on)):
        path = f"{PLACE}/{name}.{word}"
        if wanted:
            fds.make_parents(path)
            fd = posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_CLOEXEC, 0o644)
            posix.utime(fd)
            posix.close(fd)
        elif fds.exists(path):
            posix.unlink(path)


def names() -> list[str]:
    """Those that were started."""
    return [name.removesuffix(f".{ON}") for name in fds.listdir(PLACE) if name.endswith(f".{ON}")]


def since(name: str) -> float:
    """When it was switched on, seconds since the epoch; 0: by the boot."""
    return modified(f"{PLACE}/{name}.{ON}")


def modified(path: str) -> float:
    """When *path* was; 0 when it is not there."""
    try:
        return posix.stat(path).st_mtime
    except OSError:
        return 0.0


def is_on(name: str, from_boot: bool) -> bool:
    if fds.exists(f"{PLACE}/{name}.{OFF}"):
        return False
    return from_boot or fds.exists(f"{PLACE}/{name}.{ON}")
