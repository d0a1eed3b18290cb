"""What a container may use and what it uses, from its cgroups: v1 and v2 say the same in different words."""

import time

from hostd.proc.host import counted
from hostd.proc.points import BORN, CPUS, MEMORY, OWN_CLOCKS, SPENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hostd.proc.caller import Group
    from hostd.proc.host import Host

TICKS = 100  # USER_HZ: the unit of times in /proc/stat, the same on all of our machines
_SECOND = 1_000_000_000
_MOST_DEVICES = 32  # a guest chooses how many it uses

# memory.stat: the name that v2 has for it, which is used here, and that of v1.
_V1_STAT = {
    b"anon": b"total_rss",
    b"file": b"total_cache",
    b"shmem": b"total_shmem",
    b"file_mapped": b"total_mapped_file",
    b"file_dirty": b"total_dirty",
    b"file_writeback": b"total_writeback",
    b"active_anon": b"total_active_anon",
    b"inactive_anon": b"total_inactive_anon",
    b"active_file": b"total_active_file",
    b"inactive_file": b"total_inactive_file",
    b"unevictable": b"total_unevictable",
    b"pgfault": b"total_pgfault",
    b"pgmajfault": b"total_pgmajfault",
}
# What the kernel takes back when somebody needs it.
_CACHES = (b"active_file", b"inactive_file", b"slab_reclaimable")


class Memory:
    """Bytes.  *total* and *swap_total*: the limit (or what is to be shown), or what the machine has if that is less."""

    __slots__ = ("available", "free", "stat", "swap_total", "swap_used", "total")

    def __init__(
        self, total: int, free: int, available: int, swap_total: int, swap_used: int, stat: "dict[bytes, int]"
    ) -> None:
        self.total = total
        self.free = free
        self.available = available
        self.swap_total = swap_total
        self.swap_used = swap_used
        self.stat = stat


def memory(group: "Group", host: "Host") -> Memory:
    machine = host.memory()
    ram, used, *of_swap = _limits(group)
    total, free, available = [machine.get(name, 0) << 10 for name in (b"MemTotal", b"MemFree", b"MemAvailable")]
    shown, counts = group.noted(MEMORY) or ram, stat(group)
    if shown < total:
        total, free = shown, max(0, shown - used)
        available = min(total, free + sum([counts.get(name, 0) for name in _CACHES]))
    return Memory(total, free, available, *_of_the_machine(host, *of_swap), counts)


def swap(group: "Group", host: "Host") -> tuple[int, int]:
    """What it has of it and what of that is used, as `memory` has them, without the sums of its memory.stat."""
    return _of_the_machine(host, *_limits(group)[2:])


def _of_the_machine(host: "Host", limit: int, used: int) -> tuple[int, int]:
    """No more swap than there is."""
    total = min(limit, host.memory().get(b"SwapTotal", 0) << 10)
    return total, min(used, total)


def stat(group: "Group") -> "dict[bytes, int]":
    words = group.read("memory", "memory.stat").split()
    raw = dict(zip(words[::2], words[1::2], strict=False))
    if not group.v1:
        return {name: int(value) for name, value in raw.items()}
    return {name: int(raw.get(old, 0)) for name, old in _V1_STAT.items()}


_UNLIMITED = 1 << 62


def _limits(group: "Group") -> tuple[int, int, int, int]:
    """What it may have of RAM and has in use, and the same of swap."""
    return _memory_v1(group) if group.v1 else _memory_v2(group)


def _memory_v1(group: "Group") -> tuple[int, int, int, int]:
    """v1 counts RAM, and RAM plus swap."""
    ram, used = _number(group, "memory.limit_in_bytes", _UNLIMITED), _number(group, "memory.usage_in_bytes")
    both = _number(group, "memory.memsw.limit_in_bytes", _UNLIMITED)
    both_used = _number(group, "memory.memsw.usage_in_bytes", used)
    return ram, used, both - ram if both < _UNLIMITED else _UNLIMITED, max(0, both_used - used)


def _memory_v2(group: "Group") -> tuple[int, int, int, int]:
    return (
        _number(group, "memory.max", _UNLIMITED),
        _number(group, "memory.current"),
        _number(group, "memory.swap.max", _UNLIMITED),
        _number(group, "memory.swap.current"),
    )


def _number(group: "Group", name: str, default: int = 0) -> int:
    """`max`, and a file that is not there, are the *default*."""
    text = group.read("memory", name).strip()
    return int(text) if text.isdigit() else default


def processors(group: "Group", host: "Host", allowed: bytes) -> int:
    """How many it sees: --cpus, else as many as its limit can keep busy; never more than those *allowed* to it."""
    online = min(host.processors(), counted(allowed) or host.processors())
    given = group.noted(CPUS)
    if given:
        return min(given, online)
    quota, period = _quota_v1(group) if group.v1 else _quota_v2(group)
    return min(online, max(1, -(-quota // period))) if quota > 0 and period > 0 else online


def allowed(group: "Group") -> bytes:
    """The list of those that it may run on; b"": nobody has said."""
    return group.read("cpuset", "cpuset.effective_cpus" if group.v1 else "cpuset.cpus.effective").strip()


def _quota_v1(group: "Group") -> tuple[int, int]:
    quota, period = group.read("cpu", "cpu.cfs_quota_us"), group.read("cpu", "cpu.cfs_period_us")
    return int(quota or -1), int(period or 0)


def _quota_v2(group: "Group") -> tuple[int, int]:
    quota, _, period = group.read("cpu", "cpu.max").partition(b" ")
    return (int(quota), int(period)) if quota.isdigit() else (-1, 0)


def busy(group: "Group") -> tuple[int, int]:
    """Ticks of all processors in user mode and in the kernel, since the container began."""
    before = group.noted_text(SPENT).split() or [b"0", b"0"]
    user, system = [int(then) + now for then, now in zip(before, _busy(group), strict=True)]
    return user * TICKS // 10**6, system * TICKS // 10**6


def _busy(group: "Group") -> tuple[int, int]:
    """The same in microseconds, since the cgroup was made."""
    if group.v1:
        words = group.read("cpuacct", "cpuacct.stat").split()
        return (int(words[1]) * 10**6 // TICKS, int(words[3]) * 10**6 // TICKS) if len(words) >= 4 else (0, 0)
    words = group.read("cpu", "cpu.stat").split()
    raw = dict(zip(words[::2], words[1::2], strict=False))
    return int(raw.get(b"user_usec", 0)), int(raw.get(b"system_usec", 0))


def uptime(group: "Group") -> int:
    """Nanoseconds since it was started; of the machine where nobody has noted that."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - group.noted(BORN)


def booted(group: "Group") -> int:
    """When, in seconds of the calendar, the clock was 0 that the kernel times its processes by."""
    zero = group.noted(BORN) if group.noted(OWN_CLOCKS) else 0
    return (time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME) + zero) // _SECOND


def waited(group: "Group") -> int:
    """Nanoseconds in which something of it waited for a processor; 0 where this kernel does not say (PSI)."""
    some = group.read("unified", "cpu.pressure").partition(b"\n")[0]
    total = some.rpartition(b"total=")[2]
    return int(total) * 1000 if total.isdigit() else 0


def processes(group: "Group") -> int:
    """Processes and threads."""
    text = group.read("pids", "pids.current").strip()
    return int(text) if text.isdigit() else 1


class Transfers:
    """What went to and from a block device."""

    __slots__ = ("read_bytes", "reads", "writes", "written")

    def __init__(self) -> None:
        self.read_bytes = self.reads = self.written = self.writes = 0


def transfers(group: "Group") -> "dict[str, Transfers]":
    """By MAJOR:MINOR, of devices that it has used."""
    return _transfers_v1(group) if group.v1 else _transfers_v2(group)


_V1_FIELDS = {b"Read": ("read_bytes", "reads"), b"Write": ("written", "writes")}
_V2_FIELDS = {b"rbytes": "read_bytes", b"rios": "reads", b"wbytes": "written", b"wios": "writes"}


def _transfers_v1(group: "Group") -> "dict[str, Transfers]":
    found: dict[str, Transfers] = {}
    for column, name in enumerate(("io_service_bytes", "io_serviced")):
        text = group.read("blkio", f"blkio.throttle.{name}_recursive")
        for line in text.splitlines():
            words = line.split()
            if len(words) == 3 and words[1] in _V1_FIELDS and _room(found, words[0].decode()):
                setattr(found[words[0].decode()], _V1_FIELDS[words[1]][column], int(words[2]))
    return found


def _transfers_v2(group: "Group") -> "dict[str, Transfers]":
    found: dict[str, Transfers] = {}
    for line in group.read("io", "io.stat").splitlines():
        words = line.split()
        if not words or not _room(found, words[0].decode()):
            continue
        for word in words[1:]:
            name, _, value = word.partition(b"=")
            if name in _V2_FIELDS and value.isdigit():
                setattr(found[words[0].decode()], _V2_FIELDS[name], int(value))
    return found


def _room(found: "dict[str, Transfers]", device: str) -> bool:
    if device not in found and len(found) < _MOST_DEVICES:
        found[device] = Transfers()
    return device in found
