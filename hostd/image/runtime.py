"""The runtime of PID 1: which directory becomes `/.vz` of a container, and how the program in it is started.

`images.runtime` builds `ROOT/HASH/`; the link `ROOT/current` names the newest one.  Older ones stay: a
checkpoint restores only onto the very files that it was dumped from.
"""

import os

from hostd.errors import VzError

CURRENT = "current"
MOUNT_POINT = "/.vz"
PROGRAM = f"{MOUNT_POINT}/bin/vzinit"


def default_root() -> str:
    """`build/runtime` of the checkout or installation that this file belongs to."""
    here = os.path.dirname(os.path.abspath(__file__))
    return os.path.join(os.path.dirname(os.path.dirname(here)), "build", "runtime")


def runtime_dir(build_root: str) -> str:
    """The newest runtime below *build_root*, as a real path.  Raises VzError when none was built."""
    path = os.path.realpath(os.path.join(build_root, CURRENT))
    if not os.path.exists(f"{path}/bin/vzinit"):
        raise VzError(f"there is no runtime for PID 1 in {build_root}", hint="run `make build`")
    return path


def argv() -> tuple[str, ...]:
    """Command line of PID 1."""
    return (PROGRAM,)


def environment() -> tuple[str, ...]:
    """Environment of PID 1 (`NAME=value`): none, it would be every service's to read in /proc/1/environ."""
    return ()
