"""What the host notes at a container's cgroup, most of it for the server of its /proc files: gone with the cgroup, and
neither readable nor writable inside (an extended attribute `trusted.*` is for the administrator of the host).
"""

import os
from collections.abc import Iterable
from contextlib import suppress

from hostd.cgroup.tree import CtCgroup
from hostd.proc.points import ADDRESSES, BEANCOUNTERS, BORN, CPUS, MEMORY, OWN_CLOCKS, SPENT

SEATED = "trusted.vz.seated"


def born(cgroup: CtCgroup, zero: int, *, own: bool) -> None:
    """Its uptime was 0 at *zero*, in nanoseconds of the host's CLOCK_BOOTTIME; *own*: by the kernel's clocks, too."""
    _note(cgroup, BORN, zero)
    _note(cgroup, OWN_CLOCKS, int(own))


def spent(cgroup: CtCgroup, user: int, system: int) -> None:
    """Microseconds of processor time, in user mode and in the kernel, that it had used before this cgroup was made."""
    _note(cgroup, SPENT, f"{user} {system}")


def spent_before(cgroup: CtCgroup) -> tuple[int, int]:
    """As `spent` has noted."""
    user, system = (_noted(cgroup, SPENT) or "0 0").split()
    return int(user), int(system)


def processors(cgroup: CtCgroup, count: int) -> None:
    """As many as its configuration gives it; 0: it does not say."""
    _note(cgroup, CPUS, count)


def seats(cgroup: CtCgroup, allowed: str) -> None:
    """It was given some of the processors in the list *allowed*, and may be given others; "": it has its own."""
    _note(cgroup, SEATED, allowed)


def seated(cgroup: CtCgroup) -> str:
    """As `seats` has noted."""
    return _noted(cgroup, SEATED)


def memory(cgroup: CtCgroup, size: int | None) -> None:
    """Bytes that its configuration wants shown as all memory; None: it does not say."""
    _note(cgroup, MEMORY, size or 0)


def openvz(cgroup: CtCgroup, beancounters: str, addresses: Iterable[str]) -> None:
    """What its files of OpenVZ say, as far as the cgroup does not."""
    _note(cgroup, BEANCOUNTERS, beancounters)
    _note(cgroup, ADDRESSES, " ".join(addresses))


def _noted(cgroup: CtCgroup, name: str) -> str:
    try:
        return os.getxattr(cgroup.paths()[-1], name).decode()
    except OSError:
        return ""


def _note(cgroup: CtCgroup, name: str, value: int | str) -> None:
    """Without it the container sees what the cgroup's limits alone tell: nothing to fail for."""
    with suppress(OSError):
        os.setxattr(cgroup.paths()[-1], name, str(value).encode())
