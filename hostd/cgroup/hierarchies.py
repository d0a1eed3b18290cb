"""Which cgroup hierarchies this machine has mounted, from /proc/self/mountinfo.  Pure, but for reading that
file.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

Mode = Literal["v1", "hybrid", "v2"]

# Mount options of a v1 hierarchy that are controllers (kernel: admin-guide/cgroup-v1); others are flags.
_CONTROLLERS = frozenset(
    {"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb"}
    | {"net_cls", "net_prio", "perf_event", "rdma", "misc"}
)


class Hierarchy(NamedTuple):
    """One mounted hierarchy.  *controllers*: names as v1 has them; a named one holds `name=NAME`."""

    path: str
    controllers: frozenset[str]
    unified: bool = False


def mounted(mountinfo: str = "/proc/self/mountinfo") -> tuple[Hierarchy, ...]:
    """Every hierarchy once (the first mount of it), in the order of their mounting."""
    with open(mountinfo, encoding="utf-8", errors="surrogateescape") as file:
        return tuple(parse(file.read()))


def parse(text: str) -> Iterator[Hierarchy]:
    seen: set[str] = set()
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = [*after.split(), "", "", ""][:3]
        fields = before.split()
        if (
            kind not in ("cgroup", "cgroup2") or fields[2] in seen
        ):  # fields[2]: major:minor, one per hierarchy
            continue
        seen.add(fields[2])
        path = _unescaped(fields[4])
        if kind == "cgroup2":
            yield Hierarchy(path, frozenset(), unified=True)
        else:
            words = options.split(",")
            yield Hierarchy(path, frozenset(w for w in words if w in _CONTROLLERS or w.startswith("name=")))


# Those that limit containers: where v1 has one of them, the unified tree has not.
_LIMITING = frozenset({"cpu", "cpuset", "memory", "pids", "blkio"})


def mode(hierarchies: tuple[Hierarchy, ...]) -> Mode:
    """A v1 hierarchy that limits nothing (net_cls for some VPN, name=systemd for old guests) stands beside v2."""
    unified = any(h.unified for h in hierarchies)
    if not any(h.controllers & _LIMITING for h in hierarchies) and unified:
        return "v2"
    return "hybrid" if unified else "v1"


def _unescaped(path: str) -> str:
    r"""mountinfo writes blank, tab, newline and backslash as octal \040 and so on."""
    parts = path.split("\\")
    return parts[0] + "".join(chr(int(part[:3], 8)) + part[3:] for part in parts[1:])
