"""The parameters of one of several equal containers that have a host to themselves, as OpenVZ's vzsplit reckons.

The less memory there is for one, the higher the level of shortage, and the more the containers have to rely on not
all wanting theirs at the same time.  Pure.
"""

from typing import NamedTuple

from hostd.command.tools.machine import Machine
from hostd.config.values import PAGE, UNLIMITED, Pair

RESERVED = 50 << 20  # bytes for the host itself
LEAST_MEMORY, LEAST_LOW = 5542912, 1348608  # bytes for a container; of them, of the kernel's
LOW_PART = 0.4  # of the low memory
_FEWEST_PROCESSES = 30
_FEWEST_GUARANTEED = 1024  # pages
_MOST_PROCESSES = 8000  # of the whole host: twice that with more than 2 GiB
_DEFAULT_DISK, _DEFAULT_INODES = 225280, 88000
LEAST_DISK = _DEFAULT_DISK * 10 // 11, _DEFAULT_DISK
_HOSTS_DISK, _HOSTS_INODES = 10 << 20, 100000  # KiB, inodes: what the host keeps


class Shortage(ValueError):
    """That many do not fit; the text says why."""


class Level(NamedTuple):
    """How the memory of a container is used at one level of shortage."""

    text: str
    kernel: float  # times the low memory of one
    processes: float  # times the processes of one
    threads: float  # at most that many for each process on the average
    process: int  # bytes of kernel memory for a process
    buffers: int  # bytes that TCP needs, and for each socket
    socket: int
    signals: int
    file: float  # bytes of cache for a file
    private: float  # times the guaranteed memory
    locked: int
    least: int  # bytes of kernel memory, or it is the next level


LEVELS = (
    Level(
        "Free resource distribution. Any parameters may be increased",
        *(1, 1, 8, 81920, 262144, 4096, 1024, 576.0, 6, 10, 10485760),
    ),
    Level(
        "Normal resource distribution. Secondary parameters may be increased",
        *(1.2, 1.5, 5, 65536, 131072, 3036, 512, 460.8, 3, 3, 2097152),
    ),
    Level(
        "Partial resource shortage. Auxiliary parameters may be increased",
        *(1.8, 2, 3, 53248, 65536, 2560, 256, 384.0, 1.5, 1, 0),
    ),
)


class Share(NamedTuple):
    """Of one container: *kernel* and *sockets* in bytes, *guaranteed* in pages."""

    number: int  # of the level
    level: Level
    processes: int
    average: int
    kernel: int
    sockets: int
    guaranteed: int
    whole: int  # pages of RAM and swap


def threads(host: Machine) -> int:
    """The processes that the host can have."""
    return min(host.threads, _MOST_PROCESSES * (2 if host.low > 2 << 30 else 1))


def most_containers(host: Machine) -> int:
    """How many would fit."""
    by_memory = (host.ram + host.swap - RESERVED) // LEAST_MEMORY
    return max(0, min(by_memory, (host.low - RESERVED) // LEAST_LOW))


def share(host: Machine, containers: int) -> Share:
    """Raises Shortage."""
    if containers > (most := most_containers(host)):
        raise Shortage(f"{containers} containers can not be allocated. The maximum allowed value is {most}")
    for number, level in enumerate(LEVELS):
        found = _at(host, containers, number, level)
        if found is not None:
            return found
    raise Shortage("Fatal resource shortage, try to decrease the number of containers")


def _at(host: Machine, containers: int, number: int, level: Level) -> Share | None:
    """None when the level asks for more than there is."""
    whole = (host.ram + host.swap - RESERVED) // containers
    low = int(host.low * LOW_PART * level.kernel / containers)
    guaranteed = (whole - low) // PAGE
    if guaranteed < _FEWEST_GUARANTEED:
        guaranteed, low = _FEWEST_GUARANTEED, whole - _FEWEST_GUARANTEED * PAGE
    kernel = low // 2
    average = kernel // level.process
    if low < level.least or average < _FEWEST_PROCESSES // 2:
        return None
    processes = max(int(level.processes * threads(host) / containers), _FEWEST_PROCESSES, 2 * average)
    processes = min(processes, int(average * level.threads))
    sockets = low - kernel
    if sockets // 3 < level.buffers + level.socket * processes:
        return None
    return Share(number, level, processes, average, kernel, sockets, guaranteed, whole // PAGE)


def private_pages(one: Share, host: Machine, containers: int) -> int:
    """Memory that a container can allocate: with VSwap its RAM."""
    pages = int(one.guaranteed * one.level.private)
    if pages > one.whole:
        pages = one.guaranteed
    return pages if containers == 1 else min(pages, int(0.6 * host.ram / PAGE))


def parameters(one: Share, host: Machine, containers: int) -> dict[str, Pair]:
    """The classic set."""
    tcp, room = one.sockets // 3, one.level.socket * one.processes
    rest = tcp - room
    files = one.average * 32
    locks = min(int(files * 0.1), 1000)
    private = private_pages(one, host, containers)
    guaranteed = min(one.guaranteed, private)
    cache = int(files * one.level.file)
    return {
        "numproc": _both(one.processes),
        "avnumproc": _both(one.average),
        "numtcpsock": _both(one.processes),
        "numothersock": _both(one.processes),
        "vmguarpages": (guaranteed, UNLIMITED),
        "kmemsize": (one.kernel, int(one.kernel * 1.1)),
        "tcpsndbuf": (rest, tcp),
        "tcprcvbuf": (rest, tcp),
        "othersockbuf": (rest // 2, rest // 2 + room),
        "dgramrcvbuf": _both(rest // 2),
        "oomguarpages": (guaranteed, UNLIMITED),
        "privvmpages": (private, int(private * 1.1)),
        "lockedpages": _both(max(one.kernel * one.level.locked // 204800, 4)),
        "shmpages": _both(int(private * 0.1)),
        "physpages": (0, UNLIMITED),
        "numfile": _both(files),
        "numflock": (locks, int(locks * 1.1)),
        "numpty": _both(min(max(int(one.processes * 0.1), 4), 512)),
        "numsiginfo": _both(one.level.signals),
        "dcachesize": (int(cache / 1.03), cache),
        "numiptent": _both(min(max(2000 // containers, 4), 200)),
    }


def disk(kib: int, inodes: int, containers: int) -> tuple[Pair, Pair]:
    """Half of what the host can spare is shared out; a default where that is too little for a container.

    A file system with 0 inodes in all makes them as it goes: there are as many as there is room for.
    """
    inodes = inodes or kib * _DEFAULT_INODES // _DEFAULT_DISK
    kib = max(kib - _HOSTS_DISK, kib // 2)
    inodes = max(inodes - _HOSTS_INODES, inodes // 2)
    if kib // _DEFAULT_DISK < containers or inodes // _DEFAULT_INODES < containers:
        return LEAST_DISK, _softer(_DEFAULT_INODES)
    return _softer(kib // (2 * containers)), _softer(inodes // (2 * containers))


def _both(number: int) -> Pair:
    return number, number


def _softer(limit: int) -> Pair:
    return limit * 10 // 11, limit
