"""How much of the host's memory a container uses, was promised, and may use at most: the figures of vzcalc, vzmemcheck.

In OpenVZ kernel memory and socket buffers come on top of RAM.  Here the kernel counts them in RAM, so they are not
added to what is used; and memory is charged when it is touched, so what is allocated is what is used of RAM and swap.
No limit is more than the host has.
"""

from dataclasses import dataclass

from hostd.command.row import Row
from hostd.command.tools.machine import Machine
from hostd.config.bounds import NO_LIMIT
from hostd.config.values import PAGE, UNLIMITED

KERNEL = ("kmemsize", "tcprcvbuf", "tcpsndbuf", "dgramrcvbuf", "othersockbuf")
USED = frozenset((*KERNEL, "physpages", "swappages", "numproc"))
LOW_PART = 0.4  # of the low memory: what OpenVZ lets containers have


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes."""

    kernel: float = 0
    ram: float = 0
    ram_and_swap: float = 0
    allocated: float = 0

    def __add__(self, other: "Memory") -> "Memory":
        return Memory(
            self.kernel + other.kernel,
            self.ram + other.ram,
            self.ram_and_swap + other.ram_and_swap,
            self.allocated + other.allocated,
        )


def used(row: Row) -> Memory:
    ram, swap = (_held(row, name) * PAGE for name in ("physpages", "swappages"))
    return Memory(sum(_held(row, name) for name in KERNEL), ram, ram + swap, ram + swap)


def _held(row: Row, name: str) -> int:
    counter = row.usage.counters.get(name)
    return counter.held if counter is not None else 0


def promised(row: Row, host: Machine) -> Memory:
    """By the guarantees: of VSwap RAM and swap themselves, unless the configuration says otherwise."""
    kernel = _kernel_limit(row, host)
    total = host.ram + host.swap
    ram, swap = _vswap(row, host)
    above = 0 if row.vswap else kernel
    safe = _pages(row, "oomguarpages", 0, ram if row.vswap else 0)
    sure = _pages(row, "vmguarpages", 0, ram + swap if row.vswap else 0)
    return Memory(kernel, 0, min(safe + above, total), min(sure + above, total))


def most(row: Row, host: Machine) -> Memory:
    kernel = _kernel_limit(row, host)
    total = host.ram + host.swap
    if row.vswap:
        return Memory(kernel, 0, 0, min(sum(_vswap(row, host)), total))
    return Memory(kernel, 0, 0, min(_pages(row, "privvmpages", 1, total) + kernel, total))


def _kernel_limit(row: Row, host: Machine) -> float:
    ram, _ = _vswap(row, host)
    limits = [_limit(row, name, 1) for name in KERNEL]
    return min(ram, host.low) if UNLIMITED in limits else min(sum(limits), ram, host.low)


def _vswap(row: Row, host: Machine) -> tuple[float, float]:
    """The limits of RAM and swap."""
    return _pages(row, "physpages", 1, host.ram, host.ram), _pages(row, "swappages", 1, host.swap, host.swap)


def _pages(row: Row, name: str, index: int, otherwise: float, highest: float = float("inf")) -> float:
    """In bytes; *otherwise* where there is no limit, or nothing is said."""
    pages = _limit(row, name, index)
    return otherwise if pages in NO_LIMIT else min(pages * PAGE, highest)


def _limit(row: Row, name: str, index: int) -> int:
    found = row.limits(name)
    return UNLIMITED if found is None else found[index]
