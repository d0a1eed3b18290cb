"""What hostd and three small containers take of a machine's memory: run inside of one, as root.

    python3 -m tests.vm.footprint        (make test-vm-small: in a machine of 128 MiB)

Fails when a container does not answer at the end, or when the machine has killed something for memory.
"""

import os
import sys
from dataclasses import dataclass

from tests.harness import machine
from tests.harness.installation import Vz

CTIDS = (101, 102, 103)
KERNEL = ("Slab", "KernelStack", "PageTables", "Percpu")
MIB = 1024  # KiB


@dataclass(frozen=True)
class Row:
    """KiB of one process: resident, its share of what is shared, and what would be free without it."""

    name: str
    rss: int
    pss: int
    private: int


def main() -> int:
    """Print the table; 1 when something did not survive."""
    before, killed_before = meminfo("/proc/meminfo"), kills()
    vz = Vz()
    try:
        for ctid in CTIDS:
            vz.start(ctid)
        rows = [row("keeper", vz.keeper_pid), row("daemon", vz.daemon_pid)]
        rows += [row(f"PID 1 of CT {ctid}", vz.init_pid(ctid)) for ctid in CTIDS]
        after = meminfo("/proc/meminfo")
        answering = [ctid for ctid in CTIDS if vz.answers(ctid)]
    finally:
        left = vz.remove()
    print("\n".join([*processes(rows), "", *system(before, after)]))
    print(f"{len(answering)} of {len(CTIDS)} containers answer; left behind: {', '.join(left) or 'nothing'}")
    killed = kills() - killed_before
    print(f"killed for memory: {killed}")
    return 0 if answering == list(CTIDS) and not left and not killed else 1


def kills() -> int:
    """How often the kernel has killed for memory since it was booted."""
    counters = dict(line.split() for line in machine.read("/proc/vmstat").splitlines())
    return int(counters["oom_kill"])


def row(name: str, pid: int) -> Row:
    values = meminfo(f"/proc/{pid}/smaps_rollup")
    return Row(name, values["Rss"], values["Pss"], values["Private_Clean"] + values["Private_Dirty"])


def meminfo(path: str) -> dict[str, int]:
    """KiB by name, of /proc/meminfo and of smaps_rollup."""
    pairs = (line.split()[:2] for line in machine.read(path).splitlines() if line.count(":") == 1)
    return {name.rstrip(":"): int(value) for name, value in pairs if value.isdecimal()}


def processes(rows: list[Row]) -> list[str]:
    total = Row("all of them", *(sum(getattr(row, name) for row in rows) for name in ("rss", "pss", "private")))
    head = f"{'MiB':18} {'RSS':>7} {'PSS':>7} {'private':>8}"
    rows = [*rows, total]
    return [head, *(f"{r.name:18} {r.rss / MIB:7.1f} {r.pss / MIB:7.1f} {r.private / MIB:8.1f}" for r in rows)]


def system(before: dict[str, int], after: dict[str, int]) -> list[str]:
    """The machine as a whole, before and with the containers."""
    names = ("MemTotal", "MemAvailable", "AnonPages", "Cached", *KERNEL)
    lines = [f"{name:18} {before[name] / MIB:7.1f} {after[name] / MIB:7.1f}" for name in names if name in before]
    return [f"{os.uname().release}", f"{'MiB':18} {'before':>7} {'after':>7}", *lines]


if __name__ == "__main__":
    sys.exit(main())
