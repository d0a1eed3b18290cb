"""RAM and swap: the order of the writes, and room made before a limit below what is in use."""

import os
from collections.abc import Iterator

from hostd.cgroup import files
from hostd.cgroup.writes import V1_UNLIMITED, Write, or_max
from hostd.config.values import PAGE
from hostd.errors import Exit, Failure

Pair = tuple[int | None, int | None]  # RAM and swap in bytes; None: unlimited


def v1(path: str, pair: Pair) -> Iterator[Write]:
    """limit <= memsw must hold at every moment, so the order depends on the way they move."""
    ram, swap = pair
    total = None if ram is None or swap is None else ram + swap
    limit = Write(f"{path}/memory.limit_in_bytes", _v1(ram), "PHYSPAGES")
    memsw = Write(f"{path}/memory.memsw.limit_in_bytes", _v1(total), "PHYSPAGES plus SWAPPAGES")
    if not os.path.exists(memsw.path):
        if total is not None:
            raise Failure(
                Exit.BAD_KERNEL,
                "cannot set SWAPPAGES: this kernel does not account swap",
                hint="boot the host with swapaccount=1",
            )
        yield limit
        return
    first_limit = ram is not None and ram <= int(files.read(memsw.path))
    yield from (limit, memsw) if first_limit else (memsw, limit)


def _v1(value: int | None) -> str:
    return V1_UNLIMITED if value is None else str(value)


def v2(path: str, pair: Pair) -> Iterator[Write]:
    """memory.max below what is in use would kill: so reclaim first, and refuse when that does not make the
    room.

    memory.high stays at max otherwise: a limit just below memory.max would throttle for seconds what cannot
    be reclaimed, where the guest expects to be told by its OOM killer.
    """
    ram, swap = pair
    swap_max = f"{path}/memory.swap.max"
    if os.path.exists(swap_max):
        yield Write(swap_max, or_max(swap), "SWAPPAGES")
    elif swap is not None:
        raise Failure(Exit.BAD_KERNEL, "cannot set SWAPPAGES: this kernel does not account swap")
    shrink = (lambda: _reclaim(path, ram)) if ram is not None else None
    yield Write(f"{path}/memory.max", or_max(ram), "PHYSPAGES", shrink)


def _reclaim(path: str, ram: int) -> None:
    current = f"{path}/memory.current"
    if int(files.read(current)) <= ram:
        return
    files.write(f"{path}/memory.high", str(ram))  # the write itself reclaims
    try:
        used = int(files.read(current))
        if used > ram:
            raise Failure(
                Exit.SETUBC, f"cannot set PHYSPAGES to {ram // PAGE} pages: {used // PAGE} are in use"
            )
    finally:
        files.write(f"{path}/memory.high", "max")
