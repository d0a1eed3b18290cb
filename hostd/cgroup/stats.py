"""What a container uses now, used at most, and was refused, as far as the kernel counts it."""

from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import NamedTuple

from hostd.cgroup import files
from hostd.cgroup.tree import CtCgroup
from hostd.config.values import PAGE

OOM_KILLS = "oom"  # among the failures


class Counter(NamedTuple):
    """One row of a beancounter, in its unit; None: this kernel does not say."""

    held: int
    maxheld: int | None = None
    failcnt: int | None = None


Read = Callable[[str], str | None]  # a file of the cgroup; None when this kernel has none
Figure = Callable[[Read], int | None]


def _nothing_refused(read: Read) -> int:
    """By a limit that is not enforced."""
    return 0


def _refused_unseen(read: Read) -> None:
    """By a limit that is enforced where nothing counts what it refuses."""


class Source(NamedTuple):
    """Where the figures of one beancounter are; *unit* is in bytes, or 1 for a number of something."""

    controller: str
    held: Figure
    maxheld: Figure = lambda read: None
    failcnt: Figure = _nothing_refused
    unit: int = 1

    def counter(self, read: Read) -> Counter | None:
        held = self.held(read)
        if held is None:
            return None
        most = self.maxheld(read)
        if most is not None:
            most = max(held, most) // self.unit  # the two were read one after the other
        return Counter(held // self.unit, most, self.failcnt(read))


def counters(cgroup: CtCgroup, names: Collection[str]) -> dict[str, Counter]:
    """Of the beancounters *names* those that this kernel keeps: no more files are read than they need."""
    sources = _V2 if cgroup.tree.mode == "v2" else _V1
    readers: dict[str, Read] = {}
    found = {}
    for name in names:
        source = sources.get(name)
        if source is None:
            continue
        read = readers.setdefault(source.controller, _reader(cgroup, source.controller))
        row = source.counter(read)
        if row is not None:
            found[name] = row
    return found


def failures(cgroup: CtCgroup) -> dict[str, int]:
    """Refusals by beancounter, of those that have a limit to refuse by; and OOM_KILLS."""
    sources, killed = (_V2, _KILLS_V2) if cgroup.tree.mode == "v2" else (_V1, _KILLS_V1)
    readers = {name: _reader(cgroup, name) for name in {source.controller for source in sources.values()}}
    found = {
        name: source.failcnt(readers[source.controller])
        for name, source in sources.items()
        if source.failcnt is not _nothing_refused
    }
    found[OOM_KILLS] = killed(readers["memory"])
    return {name: number for name, number in found.items() if number is not None}


def kills(cgroup: CtCgroup) -> int:
    """How many of its processes the kernel has killed for memory so far."""
    source = _KILLS_V2 if cgroup.tree.mode == "v2" else _KILLS_V1
    return source(_reader(cgroup, "memory")) or 0


def processes(cgroup: CtCgroup) -> int | None:
    """Processes and threads now: the one figure that every list of containers shows."""
    return _number("pids.current")(_reader(cgroup, "pids"))


def most_processes(cgroup: CtCgroup) -> int | None:
    """How many it may have; None: no limit."""
    return _number("pids.max")(_reader(cgroup, "pids"))


def peak_of_processes(cgroup: CtCgroup) -> int:
    """How many there were at once since the cgroup was made, whoever brought them; 0: this kernel does not say."""
    return _PIDS.maxheld(_reader(cgroup, "pids")) or 0


def refused_processes(cgroup: CtCgroup) -> int:
    """How many that limit has kept it from making so far."""
    return _PIDS.failcnt(_reader(cgroup, "pids")) or 0


def _reader(cgroup: CtCgroup, controller: str) -> Read:
    """Reads each file once: several beancounters are in the same."""
    directory = cgroup.path(controller)
    if directory is None:
        return lambda name: None
    return cache(lambda name: files.read_optional(f"{directory}/{name}"))


# Figures in files


def _number(name: str) -> Figure:
    def read_number(read: Read) -> int | None:
        text = read(name)
        return int(text) if text is not None and text.isdecimal() else None

    return read_number


def _keyed(name: str, *keys: str) -> Figure:
    """The first of *keys* that the file has: older kernels call it otherwise, or have none of it."""

    def read_key(read: Read) -> int | None:
        text = read(name)
        found = files.flat(text) if text is not None else {}
        return next((found[key] for key in keys if key in found), None)

    return read_key


def _own(name: str, key: str) -> Figure:
    """What the limit of this very cgroup has refused: not those that the guest has set inside, nor the services of its
    systemd.  Older kernels tell the two as one (pids: 6.11, memory: 5.2).
    """
    return _first_of(_keyed(f"{name}.local", key), _keyed(name, key))


def _first_of(*figures: Figure) -> Figure:
    def read_first(read: Read) -> int | None:
        return next((number for figure in figures if (number := figure(read)) is not None), None)

    return read_first


def _most_of(*figures: Figure) -> Figure:
    def read_most(read: Read) -> int | None:
        found = (figure(read) for figure in figures)
        return max((number for number in found if number is not None), default=None)

    return read_most


def _refused_swap(own: Figure, shortages: Figure) -> Figure:
    """When there is no memory for a process, neither RAM nor swap was to be had: both have refused.  6.18 leaves the
    counter of v1 itself at 0.
    """

    def read_refusals(read: Read) -> int | None:
        counted = own(read)
        return None if counted is None else max(counted, shortages(read) or 0)

    return read_refusals


def _swap_v1(read: Read) -> int | None:
    """The two are read one after the other, so the difference can be off by what happened in between."""
    ram, total = _number("memory.usage_in_bytes")(read), _number("memory.memsw.usage_in_bytes")(read)
    return None if ram is None or total is None else max(0, total - ram)


_PARTS_OF_KERNEL = ("slab", "kernel_stack", "pagetables", "percpu")


def _kernel_v2(read: Read) -> int | None:
    """One figure since Linux 5.18; the sum of what there was before."""
    found = files.flat(read("memory.stat") or "")
    parts = [found[key] for key in _PARTS_OF_KERNEL if key in found]
    return found.get("kernel", sum(parts) if parts else None)


# Beancounters

_KILLS_V1, _KILLS_V2 = _keyed("memory.oom_control", "oom_kill"), _keyed("memory.events", "oom_kill")
_SHORT_V2 = _own("memory.events", "oom")
_PIDS = Source("pids", _number("pids.current"), _number("pids.peak"), _own("pids.events", "max"))

_V1: Mapping[str, Source] = {
    "kmemsize": Source(
        *("memory", _number("memory.kmem.usage_in_bytes"), _number("memory.kmem.max_usage_in_bytes")),
        _number("memory.kmem.failcnt"),
    ),
    "numproc": _PIDS,
    "physpages": Source(
        *("memory", _number("memory.usage_in_bytes"), _number("memory.max_usage_in_bytes")),
        _most_of(_number("memory.failcnt"), _KILLS_V1),
        unit=PAGE,
    ),
    "shmpages": Source("memory", _keyed("memory.stat", "total_shmem", "shmem"), failcnt=_refused_unseen, unit=PAGE),
    "swappages": Source(
        *("memory", _swap_v1),
        failcnt=_refused_swap(_number("memory.memsw.failcnt"), _KILLS_V1),
        unit=PAGE,
    ),
}
_V2: Mapping[str, Source] = {
    "dcachesize": Source("memory", _keyed("memory.stat", "slab_reclaimable")),
    "kmemsize": Source("memory", _kernel_v2),
    "numproc": _PIDS,
    "physpages": Source(
        *("memory", _number("memory.current"), _number("memory.peak"), _own("memory.events", "max")), unit=PAGE
    ),
    "shmpages": Source("memory", _keyed("memory.stat", "shmem"), failcnt=_refused_unseen, unit=PAGE),
    "swappages": Source(
        *("memory", _number("memory.swap.current"), _number("memory.swap.peak")),
        # There is no .local of it: what limits of the guest's own refuse is counted as well.
        _refused_swap(_keyed("memory.swap.events", "fail"), _SHORT_V2),
        unit=PAGE,
    ),
}
KEPT = frozenset((*_V1, *_V2))  # beancounters that some kernel keeps
