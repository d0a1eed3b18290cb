"""Clocks, statistics and memory: the arithmetic of the benchmark."""

import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.harness import machine

GAP = 0.1  # seconds before each start: a tight loop hides the RCU grace period that a real start waits for


@dataclass
class Samples:
    """Milliseconds of one manager and one operation, by round (None: failed or not offered)."""

    values: dict[int, float] = field(default_factory=dict)

    def add(self, number: int, milliseconds: float) -> None:
        self.values[number] = milliseconds

    @property
    def median(self) -> float | None:
        return statistics.median(self.values.values()) if self.values else None

    def spread(self) -> tuple[float, float, float]:
        """(minimum, median, 90th percentile)"""
        ordered = sorted(self.values.values())
        return ordered[0], statistics.median(ordered), ordered[min(len(ordered) - 1, len(ordered) * 9 // 10)]

    def ratio_to(self, other: "Samples") -> float | None:
        """Median of the ratios of the same round: what the machine did meanwhile cancels out."""
        pairs = [value / other.values[n] for n, value in self.values.items() if other.values.get(n)]
        return statistics.median(pairs) if pairs else None


def timed(action: Callable[[], object]) -> float:
    """Milliseconds of *action*."""
    start = time.monotonic_ns()
    action()
    return (time.monotonic_ns() - start) / 1e6


def shuffled(names: Sequence[str], seed: int) -> list[str]:
    """The order of one round: another each time, the same in every run."""
    order = list(names)
    random.Random(seed).shuffle(order)
    return order


def private_kib(pid: int) -> int:
    """Unique set size of a process in KiB; 0 when it is gone."""
    text = machine.read(f"/proc/{pid}/smaps_rollup")
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_"))


def kernel_kib() -> int:
    """Kernel memory that containers cost: slab, stacks, page tables, per-cpu."""
    wanted = {"SUnreclaim:", "KernelStack:", "PageTables:", "Percpu:"}
    lines = (line.split() for line in machine.read("/proc/meminfo").splitlines())
    return sum(int(words[1]) for words in lines if words[0] in wanted)


def all_private() -> dict[int, int]:
    """pid -> private KiB of every process but us."""
    return {pid: private_kib(pid) for pid in machine.pids() if pid != os.getpid()}
