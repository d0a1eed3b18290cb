"""The texts of /proc, from figures: data in, text out, in the kernel's own formats."""

import posix

from hostd.proc.figures import TICKS
from hostd.proc.host import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hostd.proc.figures import Memory, Transfers

SECTOR = 512
_KIB, _PAGE = 1024, posix.sysconf("SC_PAGE_SIZE")

# Lines of meminfo that are sums of memory.stat, which v1 has in part.  What is in neither table is the machine's
# alone, and 0 here.
_FROM_STAT = {
    b"Cached": (b"file",),
    b"Active": (b"active_anon", b"active_file"),
    b"Inactive": (b"inactive_anon", b"inactive_file"),
    b"Active(anon)": (b"active_anon",),
    b"Inactive(anon)": (b"inactive_anon",),
    b"Active(file)": (b"active_file",),
    b"Inactive(file)": (b"inactive_file",),
    b"Unevictable": (b"unevictable",),
    b"Dirty": (b"file_dirty",),
    b"Writeback": (b"file_writeback",),
    b"AnonPages": (b"anon",),
    b"Mapped": (b"file_mapped",),
    b"Shmem": (b"shmem",),
    b"KReclaimable": (b"slab_reclaimable",),
    b"Slab": (b"slab_reclaimable", b"slab_unreclaimable"),
    b"SReclaimable": (b"slab_reclaimable",),
    b"SUnreclaim": (b"slab_unreclaimable",),
    b"KernelStack": (b"kernel_stack",),
    b"PageTables": (b"pagetables",),
}
_OF_THE_KERNEL = (b"Hugepagesize", b"VmallocTotal")  # properties, not figures
_COUNTS = (b"HugePages_Total", b"HugePages_Free", b"HugePages_Rsvd", b"HugePages_Surp")  # without a unit

_VMSTAT_PAGES = {
    b"nr_inactive_anon": b"inactive_anon",
    b"nr_active_anon": b"active_anon",
    b"nr_inactive_file": b"inactive_file",
    b"nr_active_file": b"active_file",
    b"nr_unevictable": b"unevictable",
    b"nr_anon_pages": b"anon",
    b"nr_mapped": b"file_mapped",
    b"nr_file_pages": b"file",
    b"nr_dirty": b"file_dirty",
    b"nr_writeback": b"file_writeback",
    b"nr_shmem": b"shmem",
    b"nr_slab_reclaimable": b"slab_reclaimable",
    b"nr_slab_unreclaimable": b"slab_unreclaimable",
}
# Events that memory.stat counts under the same name.
_VMSTAT_EVENTS = (b"pgfault", b"pgmajfault", b"pswpin", b"pswpout")


def meminfo(machine: "dict[bytes, int]", mine: "Memory") -> bytes:
    """Every line that *machine* has, so that programs find what they find elsewhere."""
    kib = {
        b"MemTotal": mine.total // _KIB,
        b"MemFree": mine.free // _KIB,
        b"MemAvailable": mine.available // _KIB,
        b"SwapTotal": mine.swap_total // _KIB,
        b"SwapFree": (mine.swap_total - mine.swap_used) // _KIB,
    }
    for name, parts in _FROM_STAT.items():
        kib[name] = sum([mine.stat.get(part, 0) for part in parts]) // _KIB
    for name in _OF_THE_KERNEL:
        kib[name] = machine.get(name, 0)
    return b"".join([_meminfo_line(name, kib.get(name, 0)) for name in machine])


def _meminfo_line(name: bytes, value: int) -> bytes:
    return b"%-16s%8d%s\n" % (name + b":", value, b"" if name in _COUNTS else b" kB")


def vmstat(names: "list[bytes]", mine: "Memory", disks: "dict[str, Transfers]") -> bytes:
    """Every name that the kernel has; what it does not count for a container is 0."""
    values = {name: mine.stat.get(part, 0) // _PAGE for name, part in _VMSTAT_PAGES.items()}
    values |= {name: mine.stat.get(name, 0) for name in _VMSTAT_EVENTS}
    values[b"nr_free_pages"] = mine.free // _PAGE
    values[b"pgpgin"] = sum(disk.read_bytes for disk in disks.values()) // _KIB
    values[b"pgpgout"] = sum(disk.written for disk in disks.values()) // _KIB
    return b"".join([b"%s %d\n" % (name, values.get(name, 0)) for name in names])


def swaps(total: int, used: int) -> bytes:
    """Bytes."""
    head = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    if not total:
        return head
    size, used = total // _KIB, used // _KIB
    return head + b"%-40s%s\t%d\t%s%d\t%s%d\n" % (b"none", b"partition", size, _tab(size), used, _tab(used), -2)


def _tab(number: int) -> bytes:
    """The kernel's columns: a short number is followed by two tabs."""
    return b"\t" if number < 10_000_000 else b""


def cpuinfo(machine: bytes, count: int) -> bytes:
    """The blocks of the first *count* processors, and what stands outside of them."""
    found, left = [], count
    for block in machine.split(b"\n\n"):
        if block.startswith(b"processor"):
            left -= 1
            if left < 0:
                continue
        if block.strip():
            found.append(block.strip(b"\n") + b"\n\n")
    return b"".join(found)


def online(count: int, allowed: bytes) -> bytes:
    """By their true numbers, which sched_setaffinity(2) takes, where it sees all that it may run on."""
    if counted(allowed) == count:
        return allowed + b"\n"
    return b"0-%d\n" % (count - 1) if count > 1 else b"0\n"


def stat(count: int, user: int, system: int, uptime: int, booted: int) -> bytes:
    """Ticks *user* and *system* of all processors, in equal parts; nanoseconds of *uptime*.

    What only grows elsewhere, and is counted for no container (interrupts, switches, forks), stays 0: programs show
    differences.
    """
    each = uptime * TICKS // 10**9
    lines = [_processor(b"cpu ", user, system, each * count)]
    for number in range(count):  # the remainder to the first, so that the sum is right
        mine = [part // count + (part % count if number == 0 else 0) for part in (user, system)]
        lines.append(_processor(b"cpu%d" % number, mine[0], mine[1], each))
    rest = b"intr 0\nctxt 0\nbtime %d\nprocesses 0\nprocs_running 1\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n"
    return b"".join(lines) + rest % booted


def _processor(name: bytes, user: int, system: int, ticks: int) -> bytes:
    return b"%s %d 0 %d %d 0 0 0 0 0 0\n" % (name, user, system, _idle(ticks - user - system))


def _idle(left: int) -> int:
    """Ticks in which nothing ran, from those that are *left*: less than none where there were more processors before.

    Programs show by how much the number grows, so it must grow then as well, though from another beginning: one that
    stays the same until half of the excess is made up for.
    """
    return left if left >= 0 else left + (1 << (-left).bit_length())


def uptime(nanoseconds: int, count: int, busy: int) -> bytes:
    """*busy*: ticks of all processors."""
    idle = max(0, nanoseconds * count // 10**7 - busy * 100 // TICKS)
    return b"%d.%02d %d.%02d\n" % (*divmod(nanoseconds // 10**7, 100), *divmod(idle, 100))


def loadavg(averages: "tuple[float, float, float]", tasks: int) -> bytes:
    """The last number is that of the last process, which nobody outside can tell: that of processes instead."""
    return b"%.2f %.2f %.2f 1/%d %d\n" % (*averages, tasks, tasks)


def diskstats(names: "dict[str, str]", disks: "dict[str, Transfers]") -> bytes:
    """Transfers and sectors; times and queues are counted for the device alone, not for who uses it."""
    lines = []
    for number, name in names.items():
        major, _, minor = number.partition(":")
        disk = disks[number]
        lines.append(
            b"%4d %7d %s %d 0 %d 0 %d 0 %d 0 0 0 0 0 0 0 0 0 0\n"
            % (int(major), int(minor), name.encode(), disk.reads, disk.read_bytes // SECTOR,
               disk.writes, disk.written // SECTOR)
        )  # fmt: skip
    return b"".join(lines)
