"""The names in the file system: files for all containers, and a /proc with OpenVZ's files for those that want it.

    /                    the files of POINTS, each to be mounted over one of the kernel's
    /openvz-CTID         a container's /proc: those again, and
    /openvz-CTID/.vz     where the kernel's own /proc is mounted in it
    /openvz-CTID/NAME    a link to .vz/NAME, for every other name that the kernel has
    /openvz-CTID/NUMBER  one to .vz/NUMBER: it leads nowhere where there is no such process
    /openvz-CTID/user_beancounters, /openvz-CTID/vz/...
    /openvz              another one, of all containers that an earlier hostd has started
    /cpu-CTID            /sys/devices/system/cpu of a container (`processors`)

Directories are a container's own, as the kernel locks one while it is read, and who reads it may make that long.  Files
and links are not locked, and are the same for all.

The kernel remembers nodes for ever, whoever serves them: a number here never becomes another's.
"""

import posix
import time

from hostd.proc import processes, processors, wire
from hostd.proc.host import numbers
from hostd.proc.listings import Listings
from hostd.proc.nodes import FILES, number
from hostd.proc.points import KERNELS, OPENVZ, POINTS, openvz_of, processors_of
from hostd.proc.processors import Processors
from hostd.proc.wire import DIRECTORY, FILE, ROOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hostd.proc.caller import Cgroups
    from hostd.proc.wire import Entry, Kind

PROC, HIDDEN, VZ = 128, 129, 130
_OWN = [name for name, point in POINTS.items() if point.startswith("/proc/")]
_DIRECTORIES = {
    ROOT: {**{name: FILES[name] for name in POINTS}, OPENVZ: PROC},
    PROC: {KERNELS: HIDDEN, "vz": VZ, **{name: FILES[name] for name in (*_OWN, "user_beancounters")}},
    HIDDEN: {},
    VZ: {name: FILES[name] for name in ("veinfo", "veip", "vestat", "version", "vswap")},
}
_PARENTS = {ROOT: ROOT, PROC: ROOT, HIDDEN: PROC, VZ: PROC}
_OWNED = (PROC, HIDDEN, VZ)  # that each container has: the same again from _CONTAINERS + CTID * _EACH on
_CONTAINERS, _EACH, _LAST_CTID = 1 << 40, 4, (1 << 31) - 1
_NAMES = {node: name for name, node in FILES.items()}
_NUMBERED, _LAST_NUMBER = 1 << 24, 1 << 22  # PID_MAX_LIMIT
_NAMED = 1 << 31
_FRESH = 60.0  # seconds: a module of the kernel's may bring another name
_AT_A_TIME = 64  # processes: others wait meanwhile
_FIRST_PROCESS = 1 << 16  # where they begin in a listing: behind all names


class Tree:
    """*online*: what a process sees in /sys/devices/system/cpu/online."""

    def __init__(self, cgroups: "Cgroups", online: "Callable[[int], bytes]") -> None:
        self._cgroups = cgroups
        self._online = online
        self._processors = Processors()
        self._listings = Listings()
        self._read = 0.0
        self._links: dict[int, str] = {}  # names of the kernel's, by node

    def kind(self, node: int) -> "Kind | None":
        """None: there is no such node."""
        if processors.is_one(node):
            return self._processors.kind(node)
        if _like(node) in _DIRECTORIES:
            return DIRECTORY
        if node in _NAMES:
            return FILE
        target = self.target(node)
        return wire.link(target) if target else None

    def file(self, node: int) -> str:
        """The name of the file that *node* is; "" for none."""
        return _NAMES.get(node, "")

    def target(self, node: int) -> bytes:
        """Where the link *node* leads; b"" for none."""
        if processors.is_one(node):
            return self._processors.target(node)
        number = node - _NUMBERED
        name = str(number) if 0 < number <= _LAST_NUMBER else self._kernels().get(node, "")
        return f"{KERNELS}/{name}".encode() if name else b""

    def find(self, directory: int, name: str) -> int:
        """The node; 0 for none."""
        if processors.is_one(directory):
            return self._processors.find(directory, name)
        like = _like(directory)
        found = _DIRECTORIES.get(like, {}).get(name, 0)
        if found:
            return _of_the_same(directory, found)
        if like != PROC:
            return _of_container(name) if like == ROOT else 0
        node = _NUMBERED + int(name) if _is_number(name) else _node(name)
        return node if self.target(node) == f"{KERNELS}/{name}".encode() else 0

    def entries(self, directory: int, start: int, pid: int) -> "Iterator[Entry]":
        """What is in *directory* from *start* on, for process *pid*; not all of it if it is much."""
        if processors.is_one(directory):
            yield from self._processors.entries(directory, start, numbers(self._online(pid)))
            return
        if start < _FIRST_PROCESS:
            yield from self._named(directory, start)
        if _like(directory) == PROC:
            yield from self._numbered(max(0, start - _FIRST_PROCESS), pid)

    def _named(self, directory: int, start: int) -> "Iterator[Entry]":
        like = _like(directory)
        here = {".": like, "..": _PARENTS[like], **_DIRECTORIES[like]}
        if like == PROC:
            here |= {name: node for node, name in self._kernels().items()}
        for at, (name, found) in enumerate(here.items()):
            if at >= start:
                node = _of_the_same(directory, found)
                kind = self.kind(node)
                yield name, node, kind[0] if kind else 0, at + 1

    def _numbered(self, start: int, pid: int) -> "Iterator[Entry]":
        """By the numbers on the host.  They are said to be anything: programs pass over processes that are links."""
        group = self._cgroups.of(pid)
        if group is not None:
            pids = self._listings.pids(group.number, lambda: processes.outside(group), begins=not start)
            for outside, inside in processes.numbers(pids, start, _AT_A_TIME):
                yield str(inside), _NUMBERED + inside, 0, _FIRST_PROCESS + outside + 1

    def _kernels(self) -> "dict[int, str]":
        """What else the kernel has in /proc."""
        now = time.monotonic()
        if not self._links or now - self._read > _FRESH:
            names = [name for name in posix.listdir("/proc") if not name.isdigit() and name not in _DIRECTORIES[PROC]]
            self._read, self._links = now, {_node(name): name for name in names}
        return self._links


def _like(node: int) -> int:
    """The one in _DIRECTORIES that *node*, a container's own, is like; *node* itself for every other."""
    ctid, at = divmod(node - _CONTAINERS, _EACH)
    return _OWNED[at] if 0 < ctid <= _LAST_CTID and at < len(_OWNED) else node


def _of_the_same(directory: int, node: int) -> int:
    """What is *node* in the container that *directory* is of."""
    return directory + node - _like(directory) if node in _OWNED else node


def _of_container(name: str) -> int:
    """The directory that *name* says, by its number; 0 for none."""
    number = name.rpartition("-")[2]
    if not (number.isascii() and number.isdigit() and len(number) <= len(str(_LAST_CTID))):
        return 0
    ctid = int(number)
    if not 0 < ctid <= _LAST_CTID:
        return 0
    if name == processors_of(ctid):
        return processors.of_container(ctid)
    return _CONTAINERS + ctid * _EACH if name == openvz_of(ctid) else 0


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) <= len(str(_LAST_NUMBER))


def _node(name: str) -> int:
    return _NAMED + number(name)
