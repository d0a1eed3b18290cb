"""What a container has done since its start, and what its tasks wait for, as far as its cgroups count it."""

import re
from dataclasses import dataclass

from hostd.cgroup import files
from hostd.cgroup.tree import CtCgroup

RESOURCES = ("cpu", "memory", "io")
_SOME = re.compile(r"some avg10=([0-9.]+)")  # Documentation/accounting/psi.rst


@dataclass(frozen=True, slots=True)
class Activity:
    """*cpu*: seconds of processor time; None: not counted here.

    *pressure*: of each of RESOURCES that the kernel watches, the percentage of the last ten seconds in which at least
    one task could not go on for want of it.
    """

    cpu: float | None
    pressure: dict[str, float]


def activity(cgroup: CtCgroup) -> Activity:
    """Of *cgroup*; nothing when it does not exist."""
    return Activity(_cpu(cgroup), _pressure(cgroup))


def _cpu(cgroup: CtCgroup) -> float | None:
    if cgroup.tree.mode != "v2":
        path = cgroup.path("cpuacct")
        text = files.read_optional(f"{path}/cpuacct.usage") if path else None
        return int(text) / 1e9 if text else None
    text = files.read_optional(f"{cgroup.paths()[-1]}/cpu.stat")
    used = files.flat(text).get("usage_usec") if text else None
    return None if used is None else used / 1e6


def _pressure(cgroup: CtCgroup) -> dict[str, float]:
    """Only the unified tree watches it; controllers need not be there."""
    if cgroup.tree.unified_root is None:
        return {}
    texts = {name: files.read_optional(f"{cgroup.paths()[-1]}/{name}.pressure") for name in RESOURCES}
    found = {name: _SOME.search(text) for name, text in texts.items() if text}
    return {name: float(match[1]) for name, match in found.items() if match}
