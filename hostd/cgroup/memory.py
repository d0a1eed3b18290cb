"""RAM and swap: the order of the writes, and room made before a limit below what is in use."""

import os
from collections.abc import Callable, Iterator
from functools import partial

from hostd.cgroup import files
from hostd.cgroup.tree import CtCgroup
from hostd.cgroup.writes import V1_UNLIMITED, Write, or_max
from hostd.config.values import PAGE
from hostd.errors import Exit, Failure
from hostd.kernel import swaps

Pair = tuple[int | None, int | None]  # RAM and swap in bytes; None: unlimited
_V1_NONE = 1 << 62  # what v1 shows without a limit is a little less than 1 << 63


def ram(cgroup: CtCgroup) -> int | None:
    """The bytes of RAM that a container may have now; None: no limit.  OSError."""
    path = cgroup.path("memory")
    for name in ("memory.max", "memory.limit_in_bytes"):
        if path and (text := files.read_optional(f"{path}/{name}")):
            return None if text == "max" or int(text) >= _V1_NONE else int(text)
    return None


def v1(path: str, pair: Pair) -> Iterator[Write]:
    """limit <= memsw must hold at every moment, so the order depends on the way they move.

    The writes themselves reclaim: that of the limit into swap, that of memsw what need not be kept at all.
    """
    ram, swap = pair
    total = None if ram is None or swap is None else ram + swap
    busy = _busy(pair, f"{path}/memory.usage_in_bytes", f"{path}/memory.memsw.usage_in_bytes")
    limit = Write(f"{path}/memory.limit_in_bytes", _v1(ram), "PHYSPAGES", busy=busy)
    memsw = Write(f"{path}/memory.memsw.limit_in_bytes", _v1(total), "PHYSPAGES plus SWAPPAGES", busy=busy)
    if not os.path.exists(memsw.path):
        if total is not None:
            _check_swap()
        yield limit
        return
    first_limit = ram is not None and ram <= int(files.read(memsw.path))
    yield from (limit, memsw) if first_limit else (memsw, limit)


def _check_swap() -> None:
    """No file limits swap.  Where the kernel cannot swap every limit holds by itself; else raises Failure(BAD_KERNEL),
    also while there is no swap: a container that runs would have all of it that is added later.
    """
    if swaps.possible():
        raise Failure(
            Exit.BAD_KERNEL,
            "cannot set SWAPPAGES: this kernel does not account swap",
            hint="boot the host with swapaccount=1, or do not limit it: --swap unlimited",
        )


def _v1(value: int | None) -> str:
    return V1_UNLIMITED if value is None else str(value)


def _busy(pair: Pair, ram: str, total: str) -> Callable[[], str]:
    """*ram*, *total*: the files that say how much is in use, of RAM alone and with swap."""

    def words() -> str:
        text = files.read_optional(total)
        used = int(files.read(ram))
        return _refusal(pair, used, max(0, int(text) - used) if text else 0)

    return words


def v2(path: str, pair: Pair) -> Iterator[Write]:
    """memory.max below what is in use would kill, and memory.swap.max below it takes nothing out of swap: so make
    room first, and refuse when that cannot be.

    memory.high stays at max otherwise.  At memory.max already whoever allocates does the reclaiming, and so is as slow
    as the swap device.  A memory.high below it would add nothing but sleep, while nothing can be reclaimed any more:
    where the guest expects to be told by its OOM killer, all of it would stand still (docs/limits.md).
    """
    ram, swap = pair
    swap_max = f"{path}/memory.swap.max"
    before = _v2(f"{path}/memory.max"), _v2(swap_max)
    if os.path.exists(swap_max):
        yield Write(swap_max, or_max(swap), "SWAPPAGES")
    elif swap is not None:
        _check_swap()
    shrink, shrink_back = (partial(_make_room, path, *one) for one in (pair, before))
    yield Write(f"{path}/memory.max", or_max(ram), "PHYSPAGES", shrink, shrink_back=shrink_back)


def _v2(file: str) -> int | None:
    text = files.read_optional(file)
    return int(text) if text and text != "max" else None


def _make_room(path: str, ram: int | None, swap: int | None) -> None:
    """What is in swap beyond its limit stays there until it is needed: there must be that much less in RAM."""
    high = f"{path}/memory.high"
    try:
        if ram is not None:
            _reclaim(path, high, ram, swap)
    finally:
        if files.read_optional(high) not in (None, "max"):  # ours, or of a daemon that died in the middle of this
            files.write(high, "max")


def _reclaim(path: str, high: str, ram: int, swap: int | None) -> None:
    current = f"{path}/memory.current"
    swapped = int(files.read_optional(f"{path}/memory.swap.current") or 0)
    most = ram - max(0, swapped - swap) if swap is not None else ram
    used = int(files.read(current))
    if used <= most:
        return
    if most >= 0:
        files.write(high, str(most))  # the write itself reclaims
        used = int(files.read(current))
    if used > most:
        swapped = int(files.read_optional(f"{path}/memory.swap.current") or 0)
        raise Failure(Exit.SETUBC, _refusal((ram, swap), used, swapped))


def _refusal(pair: Pair, used: int, swapped: int) -> str:
    """*used*, *swapped*: bytes in RAM and in swap when no more could be reclaimed."""
    ram, swap = (None if value is None else value // PAGE for value in pair)
    wanted = f"PHYSPAGES to {'unlimited' if ram is None else ram}"
    wanted += f" and SWAPPAGES to {swap}" if swap is not None else ""
    return f"cannot set {wanted} pages: {used // PAGE} of RAM and {swapped // PAGE} of swap are in use"
