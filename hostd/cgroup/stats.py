"""What a container uses now, used at most, and was refused, as far as the kernel counts it."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from hostd.cgroup import files
from hostd.cgroup.tree import CtCgroup

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Counter:
    """One row of a beancounter.  Where the kernel has no maximum, it is what is held now."""

    held: int
    maxheld: int
    failcnt: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Memory in bytes, time in nanoseconds; None: this kernel does not say."""

    memory: int | None = None
    memory_max: int | None = None
    memory_failures: int | None = None
    swap: int | None = None
    swap_max: int | None = None
    swap_failures: int | None = None
    kernel: int | None = None
    kernel_max: int | None = None
    kernel_failures: int | None = None
    pids: int | None = None
    pids_max: int | None = None
    pids_failures: int | None = None

    def counters(self) -> dict[str, Counter]:
        """By beancounter name, in its unit (pages, bytes, processes); only those that are known."""
        rows = {
            "kmemsize": _row(self.kernel, self.kernel_max, self.kernel_failures, 1),
            "numproc": _row(self.pids, self.pids_max, self.pids_failures, 1),
            "physpages": _row(self.memory, self.memory_max, self.memory_failures, _PAGE),
            "swappages": _row(self.swap, self.swap_max, self.swap_failures, _PAGE),
        }
        return {name: row for name, row in rows.items() if row is not None}


def _row(held: int | None, most: int | None, failures: int | None, unit: int) -> Counter | None:
    if held is None:
        return None
    return Counter(held // unit, max(held, most or 0) // unit, failures or 0)


def usage(cgroup: CtCgroup) -> Usage:
    """Everything of *cgroup*; all None when it does not exist."""
    memory = _memory_v2 if cgroup.tree.mode == "v2" else _memory_v1
    found = memory(_reader(cgroup, "memory")) | _pids(_reader(cgroup, "pids"))
    return Usage(**found)


def processes(cgroup: CtCgroup) -> int | None:
    """Processes and threads now: the one figure that every list of containers shows."""
    return _number(_reader(cgroup, "pids")("pids.current"))


def most_processes(cgroup: CtCgroup) -> int | None:
    """How many it may have; None: no limit."""
    return _number(_reader(cgroup, "pids")("pids.max"))


def refused_processes(cgroup: CtCgroup) -> int:
    """How many that limit has kept it from making so far."""
    return _keyed(_reader(cgroup, "pids")("pids.events"), "max") or 0


Read = Callable[[str], str | None]


def _reader(cgroup: CtCgroup, controller: str) -> Read:
    directory = cgroup.path(controller)
    if directory is None:
        return lambda name: None
    return lambda name: files.read_optional(f"{directory}/{name}")


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _keyed(text: str | None, key: str) -> int | None:
    return files.flat(text).get(key) if text is not None else None


def _most(*numbers: int | None) -> int | None:
    return max((number for number in numbers if number is not None), default=None)


def _memory_v1(read: Read) -> dict[str, int | None]:
    held, total = _number(read("memory.usage_in_bytes")), _number(read("memory.memsw.usage_in_bytes"))
    return {
        "memory": held,
        "memory_max": _number(read("memory.max_usage_in_bytes")),
        "memory_failures": _most(
            # recent kernels (6.18) have the file but leave it at 0; a kill is a refusal in any case
            _number(read("memory.failcnt")),
            _keyed(read("memory.oom_control"), "oom_kill"),
        ),
        # the two are read one after the other, so the difference can be off by what happened in between
        "swap": max(0, total - held) if held is not None and total is not None else None,
        "swap_failures": _number(read("memory.memsw.failcnt")),
        "kernel": _number(read("memory.kmem.usage_in_bytes")),
        "kernel_max": _number(read("memory.kmem.max_usage_in_bytes")),
        "kernel_failures": _number(read("memory.kmem.failcnt")),
    }


def _memory_v2(read: Read) -> dict[str, int | None]:
    return {
        "memory": _number(read("memory.current")),
        "memory_max": _number(read("memory.peak")),
        "memory_failures": _keyed(read("memory.events"), "max"),
        "swap": _number(read("memory.swap.current")),
        "swap_max": _number(read("memory.swap.peak")),
        "swap_failures": _keyed(read("memory.swap.events"), "fail"),
        "kernel": _keyed(read("memory.stat"), "kernel"),
    }


def _pids(read: Read) -> dict[str, int | None]:
    return {
        "pids": _number(read("pids.current")),
        "pids_max": _number(read("pids.peak")),
        "pids_failures": _keyed(read("pids.events"), "max"),
    }
