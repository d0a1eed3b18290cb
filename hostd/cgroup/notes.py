"""What the host notes at a container's cgroup for the server of its /proc files: gone with the cgroup, and neither
readable nor writable inside (an extended attribute `trusted.*` is for the administrator of the host).
"""

import os
import time
from contextlib import suppress

from hostd.cgroup.tree import CtCgroup
from hostd.proc.points import BORN, CPUS


def born(cgroup: CtCgroup) -> None:
    """The container starts now."""
    _note(cgroup, BORN, time.clock_gettime_ns(time.CLOCK_BOOTTIME))


def processors(cgroup: CtCgroup, count: int) -> None:
    """As many as its configuration gives it; 0: it does not say."""
    _note(cgroup, CPUS, count)


def _note(cgroup: CtCgroup, name: str, value: int) -> None:
    """Without it the container sees what the cgroup's limits alone tell: nothing to fail for."""
    with suppress(OSError):
        os.setxattr(cgroup.paths()[-1], name, str(value).encode())
