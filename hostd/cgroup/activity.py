"""What a container has done since its start, and what its tasks wait for, as far as its cgroups count it."""

from dataclasses import dataclass

from hostd.cgroup import files
from hostd.cgroup.pressure import pressure
from hostd.cgroup.tree import CtCgroup


@dataclass(frozen=True, slots=True)
class Activity:
    """*cpu*: seconds of processor time; None: not counted here.

    *pressure*: by resource, as far as the kernel watches it, the percentage of the last ten seconds in which at least
    one task could not go on for want of it.
    """

    cpu: float | None
    pressure: dict[str, float]


def activity(cgroup: CtCgroup) -> Activity:
    """Of *cgroup*; nothing when it does not exist."""
    return Activity(_cpu(cgroup), {name: found["some"]["avg10"] for name, found in pressure(cgroup).items()})


def work(cgroup: CtCgroup) -> int | None:
    """Nanoseconds so far in which a processor was busy for it, and those in which something in it waited for one."""
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
