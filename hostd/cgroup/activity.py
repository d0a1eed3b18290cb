"""What a container has done since its start, and what its tasks wait for, as far as its cgroups count it."""

from typing import NamedTuple

from hostd.cgroup import files, notes
from hostd.cgroup.pressure import pressure
from hostd.cgroup.tree import CtCgroup

_TICK = 10_000  # microseconds of USER_HZ, the unit of cpuacct.stat


class Activity(NamedTuple):
    """*cpu*: seconds of processor time, also those before it was restored here; None: not counted here.

    *pressure*: by resource, as far as the kernel watches it, the percentage of the last ten seconds in which at least
    one task could not go on for want of it.
    """

    cpu: float | None
    pressure: dict[str, float]


def activity(cgroup: CtCgroup) -> Activity:
    """Of *cgroup*; nothing when it does not exist."""
    cpu = _cpu(cgroup)
    whole = None if cpu is None else cpu + sum(notes.spent_before(cgroup)) / 1e6
    return Activity(whole, {name: found["some"]["avg10"] for name, found in pressure(cgroup).items()})


def spent(cgroup: CtCgroup) -> tuple[int, int]:
    """Microseconds of processor time so far, in user mode and in the kernel, as `notes.spent` is to have them."""
    user, system = notes.spent_before(cgroup)
    if cgroup.tree.mode != "v2":
        path = cgroup.path("cpuacct")
        found = files.flat(files.read_optional(f"{path}/cpuacct.stat") or "") if path else {}
        return user + found.get("user", 0) * _TICK, system + found.get("system", 0) * _TICK
    found = files.flat(files.read_optional(f"{cgroup.paths()[-1]}/cpu.stat") or "")
    return user + found.get("user_usec", 0), system + found.get("system_usec", 0)


def work(cgroup: CtCgroup) -> int | None:
    """Nanoseconds in which a processor was busy for it, and those in which something in it waited for one, since the
    cgroup was made.
    """
    cpu = _cpu(cgroup)
    waited = pressure(cgroup, ("cpu",)).get("cpu", {}).get("some", {}).get("total", 0)
    return None if cpu is None else int(cpu * 1e9 + waited * 1e3)


def _cpu(cgroup: CtCgroup) -> float | None:
    if cgroup.tree.mode != "v2":
        path = cgroup.path("cpuacct")
        text = files.read_optional(f"{path}/cpuacct.usage") if path else None
        return int(text) / 1e9 if text else None
    text = files.read_optional(f"{cgroup.paths()[-1]}/cpu.stat")
    used = files.flat(text).get("usage_usec") if text else None
    return None if used is None else used / 1e6
