"""How long the processes of a cgroup wait for processors, memory and disks (PSI).  In the unified tree, with or
without its controllers.
"""

from collections.abc import Iterable

from hostd.cgroup import files
from hostd.cgroup.tree import CtCgroup

RESOURCES = ("cpu", "memory", "io")

Figures = dict[str, dict[str, float]]  # of `some` and `full`: avg10, avg60, avg300 in percent, total in microseconds


def pressure(cgroup: CtCgroup, resources: Iterable[str] = RESOURCES) -> dict[str, Figures]:
    """By resource; nothing of those of which this kernel does not tell."""
    found = {}
    for resource in resources:
        text = cgroup.tree.unified and files.read_optional(f"{cgroup.paths()[-1]}/{resource}.pressure")
        if text:
            found[resource] = dict(map(_kind, text.splitlines()))
    return found


def _kind(line: str) -> tuple[str, dict[str, float]]:
    kind, *figures = line.split()
    pairs = (figure.partition("=") for figure in figures)
    return kind, {name: int(text) if name == "total" else float(text) for name, _, text in pairs}
