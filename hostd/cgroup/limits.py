"""RAM, swap, cpu and process limits of a container: live, all or none."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hostd.cgroup import files
from hostd.cgroup.tree import CtCgroup
from hostd.errors import Exit, Failure

PERIOD = 100_000  # microseconds: of the cpu quota, the kernel's default

_V1_UNLIMITED = "-1"
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Limits:
    """*ram*, *swap* in bytes (None: unlimited); *cpuunits* a weight (1000 = 1); *cpulimit* percent of one cpu
    and *cpus* a number of them (0: unlimited); *numproc* processes and threads (None: unlimited).
    """

    ram: int | None = None
    swap: int | None = None
    cpuunits: int = 1000
    cpulimit: int = 0
    cpus: int = 0
    numproc: int | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """One file to be written.  *what* is how users call the limit; *shrink* is done before, to make room."""

    path: str
    value: str
    what: str
    shrink: Callable[[], None] | None = None


def apply(cgroup: CtCgroup, limits: Limits, previous: Limits | None = None) -> None:
    """Set *limits*; with *previous* only what differs.  Live.

    Raises Failure: BAD_KERNEL when a limit needs a controller that containers cannot use here, SETUBC when
    the kernel refuses, as memory below what is in use.  Then everything is as it was.
    """
    undo: list[tuple[str, str]] = []
    try:
        for item in writes(cgroup, limits, previous):
            undo.append((item.path, _old(item.path)))
            _set(item)
    except BaseException:
        for path, value in reversed(undo):
            _restore(path, value)
        raise


def writes(cgroup: CtCgroup, limits: Limits, previous: Limits | None) -> Iterator[Write]:
    """What has to be written, in an order that the kernel accepts.  Lazy: the order depends on what is
    there.
    """
    v2 = cgroup.tree.mode == "v2"
    none = Limits()
    if previous is None or (limits.ram, limits.swap) != (previous.ram, previous.swap):
        wanted = (limits.ram, limits.swap) != (None, None)
        path = _directory(cgroup, "memory", "PHYSPAGES and SWAPPAGES", needed=wanted)
        if path:
            yield from (_memory_v2 if v2 else _memory_v1)(path, limits.ram, limits.swap)
    if previous is None or limits.cpuunits != previous.cpuunits:
        path = _directory(cgroup, "cpu", "CPUUNITS", needed=limits.cpuunits != none.cpuunits)
        if path:
            yield _weight(path, limits.cpuunits, v2)
    if previous is None or quota(limits) != quota(previous):
        path = _directory(cgroup, "cpu", "CPULIMIT and CPUS", needed=bool(quota(limits)))
        if path:
            yield _quota(path, quota(limits), v2)
    if previous is None or limits.numproc != previous.numproc:
        path = _directory(cgroup, "pids", "NUMPROC", needed=limits.numproc is not None)
        if path:
            yield Write(f"{path}/pids.max", _or_max(limits.numproc), "NUMPROC")


def quota(limits: Limits) -> int:
    """Percent of one cpu that CPULIMIT and CPUS leave together; 0 = no limit."""
    return min((limit for limit in (limits.cpulimit, limits.cpus * 100) if limit), default=0)


def shares(cpuunits: int) -> int:
    """v1 cpu.shares: OpenVZ's 1000 is the kernel's 1024; the kernel takes 2..262144."""
    return max(2, min(cpuunits * 1024 // 1000, 262144))


def weight(cpuunits: int) -> int:
    """v2 cpu.weight: OpenVZ's 1000 is the kernel's 100; the kernel takes 1..10000."""
    return max(1, min(round(cpuunits / 10), 10000))


def _directory(cgroup: CtCgroup, controller: str, what: str, *, needed: bool) -> str | None:
    path = cgroup.path(controller)
    if path is None and needed:
        raise Failure(
            Exit.BAD_KERNEL,
            f"cannot set {what}: the cgroup controller {controller} is not available to containers",
            hint=f"see /proc/cgroups and the kernel command line (cgroup_disable={controller})",
        )
    return path


def _weight(path: str, cpuunits: int, v2: bool) -> Write:
    if v2:
        return Write(f"{path}/cpu.weight", str(weight(cpuunits)), "CPUUNITS")
    return Write(f"{path}/cpu.shares", str(shares(cpuunits)), "CPUUNITS")


def _quota(path: str, percent: int, v2: bool) -> Write:
    time = str(percent * PERIOD // 100) if percent else ""
    if v2:
        return Write(f"{path}/cpu.max", f"{time or 'max'} {PERIOD}", "CPULIMIT and CPUS")
    return Write(f"{path}/cpu.cfs_quota_us", time or _V1_UNLIMITED, "CPULIMIT and CPUS")


def _or_max(value: int | None) -> str:
    return "max" if value is None else str(value)


# memory


def _memory_v1(path: str, ram: int | None, swap: int | None) -> Iterator[Write]:
    """limit <= memsw must hold at every moment, so the order depends on the way they move."""
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
    return _V1_UNLIMITED if value is None else str(value)


def _memory_v2(path: str, ram: int | None, swap: int | None) -> Iterator[Write]:
    """memory.max below what is in use would kill: so reclaim first, and refuse when that does not make the
    room.

    memory.high stays at max otherwise: a limit just below memory.max would throttle for seconds what cannot
    be reclaimed, where the guest expects to be told by its OOM killer.
    """
    swap_max = f"{path}/memory.swap.max"
    if os.path.exists(swap_max):
        yield Write(swap_max, _or_max(swap), "SWAPPAGES")
    elif swap is not None:
        raise Failure(Exit.BAD_KERNEL, "cannot set SWAPPAGES: this kernel does not account swap")
    shrink = (lambda: _reclaim(path, ram)) if ram is not None else None
    yield Write(f"{path}/memory.max", _or_max(ram), "PHYSPAGES", shrink)


def _reclaim(path: str, ram: int) -> None:
    current = f"{path}/memory.current"
    if int(files.read(current)) <= ram:
        return
    files.write(f"{path}/memory.high", str(ram))  # the write itself reclaims
    try:
        used = int(files.read(current))
        if used > ram:
            raise Failure(
                Exit.SETUBC, f"cannot set PHYSPAGES to {ram // _PAGE} pages: {used // _PAGE} are in use"
            )
    finally:
        files.write(f"{path}/memory.high", "max")


# writing and taking back


def _old(path: str) -> str:
    try:
        return files.read(path)
    except OSError as error:
        raise _refused(path, error) from error


def _set(item: Write) -> None:
    try:
        if item.shrink is not None:
            item.shrink()
        files.write(item.path, item.value)
    except OSError as error:
        if error.errno == 16:  # EBUSY
            raise Failure(Exit.SETUBC, f"cannot set {item.what} to {item.value}: more is in use") from error
        raise _refused(item.path, error, item) from error


def _restore(path: str, value: str) -> None:
    try:
        files.write(path, value)
    except OSError:
        pass  # the first error is the one to be told


def _refused(path: str, error: OSError, item: Write | None = None) -> Failure:
    what = f"cannot set {item.what} to {item.value}" if item else "cannot read a limit"
    return Failure(Exit.SETUBC, f"{what}: {path}: {error.strerror}")
