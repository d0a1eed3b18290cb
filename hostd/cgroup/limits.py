"""The limits that cgroups enforce: live, all or none.  One row of `LIMITS` each."""

from collections.abc import Callable, Generator, Iterable
from contextlib import closing, suppress
from typing import NamedTuple, TypeVar

from hostd.cgroup import blockio, cpuset, cputime, memory, seats, share
from hostd.cgroup.blockio import Rate
from hostd.cgroup.guarantees import guarantee
from hostd.cgroup.tree import CtCgroup
from hostd.cgroup.writes import Write, or_max, perform
from hostd.errors import Exit, Failure

_MOST_TASKS = 1 << 22  # of a 64-bit machine: PID_MAX_LIMIT

_V1_NAMES = {"io": "blkio"}  # of the controllers that v2 calls otherwise

V = TypeVar("V")


class Limits(NamedTuple):
    """*ram*, *swap* in bytes (None: unlimited); *cpuunits* a weight (1000 = 1); *cpulimit* percent of one cpu
    and *cpus* a number of them (0: unlimited); *numproc* processes and threads (None: unlimited); *cpumask* and
    *nodemask* lists as 0-3,5 ("": all), the processors being *seats* of them (0: each); *ioprio* 0..7; *iolimit*
    bytes and *iopslimit* operations a second (0: unlimited), at the disk *device* (MAJOR:MINOR; "": it has no disk
    of its own, so neither holds); *kept_low* and *kept_min* bytes of memory that it keeps when the host is short, if
    that can be, and at any price.

    *shown* is no limit: bytes that its /proc/meminfo tells as all memory (None: *ram*).
    """

    ram: int | None = None
    swap: int | None = None
    cpuunits: int = 1000
    cpulimit: int = 0
    cpus: int = 0
    numproc: int | None = None
    cpumask: str = ""
    seats: int = 0
    nodemask: str = ""
    ioprio: int = blockio.IOPRIO
    iolimit: int = 0
    iopslimit: int = 0
    device: str = ""
    kept_low: int = 0
    kept_min: int = 0
    shown: int | None = None


NONE = Limits()  # what a new cgroup has


def apply(cgroup: CtCgroup, limits: Limits, previous: Limits | None = None) -> None:
    """Set *limits*; with *previous* only what differs.  Live.

    Raises Failure: BAD_KERNEL when a limit needs a controller that containers cannot use here, SETUBC when
    the kernel refuses, as memory below what is in use.  Then everything is as it was, but for rows of which nobody
    could have that back without being killed: they stay as asked for, and `take_back` tells them.
    """
    done: list[list[Write]] = []
    try:
        for row in LIMITS:
            with closing(writes(row, cgroup, limits, previous)) as items:
                done.append(perform(items))
    except BaseException:
        for reversal in reversed(done):
            with suppress(Failure, OSError):
                perform(reversal)
        raise


def writes(row: "Limit", cgroup: CtCgroup, limits: Limits, previous: Limits | None) -> Generator[Write]:
    """What has to be written for *row*, in an order that the kernel accepts.  Lazy: that depends on what is there."""
    if previous is not None and row.value(limits) == row.value(previous):
        return
    path = _directory(cgroup, row, needed=row.needed(limits))
    if path:
        yield from (row.v2 if cgroup.tree.mode == "v2" else row.v1)(path, limits)


def take_back(cgroup: CtCgroup, limits: Limits, previous: Limits | None = None) -> dict[str, Failure]:
    """As `apply`, for *limits* that it had before: each row by itself, as many as can be.  The others, by `what`, with
    the reason: memory that was filled meanwhile stays allowed.
    """
    stays: dict[str, Failure] = {}
    for row in LIMITS:
        try:
            with closing(writes(row, cgroup, limits, previous)) as items:
                perform(items)
        except Failure as failure:
            stays[row.what] = failure
        except OSError as error:  # in looking at what is there
            stays[row.what] = Failure(Exit.SETUBC, f"{error.filename or 'its cgroup'}: {error.strerror}")
    return stays


def quota(limits: Limits) -> int:
    """Percent of one cpu that CPULIMIT and CPUS leave together; 0 = no limit."""
    return min((limit for limit in (limits.cpulimit, limits.cpus * 100) if limit), default=0)


def shares(cpuunits: int) -> int:
    """v1 cpu.shares: OpenVZ's 1000 is the kernel's 1024; the kernel takes 2..262144."""
    return share.V1.within(cpuunits * 1024 // 1000)


def weight(cpuunits: int) -> int:
    """v2 cpu.weight: OpenVZ's 1000 is the kernel's 100; the kernel takes 1..10000."""
    return share.V2.within(round(cpuunits / 10))


def _directory(cgroup: CtCgroup, row: "Limit", *, needed: bool) -> str | None:
    controller = row.controller if cgroup.tree.mode == "v2" else _V1_NAMES.get(row.controller, row.controller)
    path = cgroup.path(controller)
    if path is None and needed:
        raise Failure(
            Exit.BAD_KERNEL,
            f"cannot set {row.what}: the cgroup controller {controller} is not available to containers",
            hint=f"see /proc/cgroups and the kernel command line (cgroup_disable={controller})",
        )
    return path


# the rows


class Limit(NamedTuple):
    """One limit, or two that are one to the kernel.  *what* is how users call it, *controller* has the name of v2;
    `v1` and `v2` tell what is to be written in the directory of that controller; where that is missing it fails if
    `needed`.
    """

    what: str
    controller: str
    value: Callable[[Limits], object]
    v1: Callable[[str, Limits], Iterable[Write]]
    v2: Callable[[str, Limits], Iterable[Write]]
    needed: Callable[[Limits], bool]


Writes = Callable[[str, V], Iterable[Write]]


def _row(
    what: str,
    controller: str,
    value: Callable[[Limits], V],
    v1: Writes[V],
    v2: Writes[V],
    needed: Callable[[Limits], bool] | None = None,
) -> Limit:
    return Limit(
        what,
        controller,
        value,
        lambda path, limits: v1(path, value(limits)),
        lambda path, limits: v2(path, value(limits)),
        needed or (lambda limits: value(limits) != value(NONE)),
    )


def _one(name: str, what: str, text: Callable[[V], str]) -> Writes[V]:
    """One file, one value."""
    return lambda path, value: (Write(f"{path}/{name}", text(value), what),)


def _nothing(path: str, value: object) -> tuple[Write, ...]:
    """This version of cgroups cannot."""
    return ()


def _tasks(most: int | None) -> str:
    """More than the machine can have is no limit, and refused as a number."""
    return or_max(None if most is None or most > _MOST_TASKS else most)


_PIDS = _one("pids.max", "NUMPROC", _tasks)

LIMITS = (
    _row("PHYSPAGES and SWAPPAGES", "memory", lambda one: (one.ram, one.swap), memory.v1, memory.v2),
    _row(
        *("CPUUNITS", "cpu", lambda one: one.cpuunits),
        v1=_one("cpu.shares", "CPUUNITS", lambda units: str(shares(units))),
        v2=_one("cpu.weight", "CPUUNITS", lambda units: str(weight(units))),
    ),
    _row(cputime.WHAT, "cpu", quota, cputime.v1, cputime.v2),
    _row("NUMPROC", "pids", lambda one: one.numproc, _PIDS, _PIDS),
    _row(
        *("CPUMASK", "cpuset", lambda one: (one.cpumask, one.seats)),
        v1=seats.v1,
        v2=seats.v2,
        needed=lambda one: bool(one.cpumask),  # without a cpuset CPUS is still a limit of time
    ),
    _row("NODEMASK", "cpuset", lambda one: one.nodemask, *cpuset.mask("cpuset.mems", "NODEMASK")),
    _row("VMGUARPAGES", "memory", lambda one: one.kept_low, _nothing, guarantee("memory.low", "VMGUARPAGES")),
    _row("OOMGUARPAGES", "memory", lambda one: one.kept_min, _nothing, guarantee("memory.min", "OOMGUARPAGES")),
    _row("IOPRIO", "io", lambda one: one.ioprio, blockio.weight_v1, blockio.weight_v2),
    _row("IOLIMIT", "io", lambda one: Rate(one.iolimit, one.device), *blockio.rate("bps", "IOLIMIT")),
    _row("IOPSLIMIT", "io", lambda one: Rate(one.iopslimit, one.device), *blockio.rate("iops", "IOPSLIMIT")),
)
