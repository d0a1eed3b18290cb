"""The names in the file system: files for all containers, and a /proc with OpenVZ's files for those that want it.

    /                    the files of POINTS, each to be mounted over one of the kernel's
    /openvz              a /proc: those again, and
    /openvz/.vz          where the kernel's own /proc is mounted in a container
    /openvz/NAME         a link to .vz/NAME, for every other name that the kernel has
    /openvz/NUMBER       one to .vz/NUMBER: it leads nowhere where there is no such process
    /openvz/user_beancounters, /openvz/vz/...

The kernel remembers nodes for ever, whoever serves them: a number here never becomes another's.
"""

import posix
import time

from hostd.proc import processes, wire
from hostd.proc.listings import Listings
from hostd.proc.points import KERNELS, OPENVZ, POINTS
from hostd.proc.wire import DIRECTORY, FILE, ROOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from hostd.proc.caller import Cgroups
    from hostd.proc.wire import Entry, Kind

PROC, HIDDEN, VZ = 128, 129, 130
_FILES = {
    **{name: ROOT + 1 + at for at, name in enumerate(POINTS)},
    **{name: 144 + at for at, name in enumerate(("user_beancounters", "veinfo", "veip", "vestat", "version", "vswap"))},
}
_OWN = [name for name, point in POINTS.items() if point.startswith("/proc/")]
_DIRECTORIES = {
    ROOT: {**{name: _FILES[name] for name in POINTS}, OPENVZ: PROC},
    PROC: {KERNELS: HIDDEN, "vz": VZ, **{name: _FILES[name] for name in (*_OWN, "user_beancounters")}},
    HIDDEN: {},
    VZ: {name: _FILES[name] for name in ("veinfo", "veip", "vestat", "version", "vswap")},
}
_PARENTS = {ROOT: ROOT, PROC: ROOT, HIDDEN: PROC, VZ: PROC}
_NAMES = {node: name for name, node in _FILES.items()}
_NUMBERED, _LAST_NUMBER = 1 << 24, 1 << 22  # PID_MAX_LIMIT
_NAMED, _PRIME = 1 << 31, (1 << 31) - 1
_FRESH = 60.0  # seconds: a module of the kernel's may bring another name
_AT_A_TIME = 64  # processes: others wait meanwhile
_FIRST_PROCESS = 1 << 16  # where they begin in a listing: behind all names


class Tree:
    def __init__(self, cgroups: "Cgroups") -> None:
        self._cgroups = cgroups
        self._listings = Listings()
        self._read = 0.0
        self._links: dict[int, str] = {}  # names of the kernel's, by node

    def kind(self, node: int) -> "Kind | None":
        """None: there is no such node."""
        if node in _DIRECTORIES:
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
        number = node - _NUMBERED
        name = str(number) if 0 < number <= _LAST_NUMBER else self._kernels().get(node, "")
        return f"{KERNELS}/{name}".encode() if name else b""

    def find(self, directory: int, name: str) -> int:
        """The node; 0 for none."""
        found = _DIRECTORIES.get(directory, {}).get(name, 0)
        if found or directory != PROC:
            return found
        node = _NUMBERED + int(name) if _is_number(name) else _node(name)
        return node if self.target(node) == f"{KERNELS}/{name}".encode() else 0

    def entries(self, directory: int, start: int, pid: int) -> "Iterator[Entry]":
        """What is in *directory* from *start* on, for process *pid*; not all of it if it is much."""
        if start < _FIRST_PROCESS:
            yield from self._named(directory, start)
        if directory == PROC:
            yield from self._numbered(max(0, start - _FIRST_PROCESS), pid)

    def _named(self, directory: int, start: int) -> "Iterator[Entry]":
        here = {".": directory, "..": _PARENTS[directory], **_DIRECTORIES[directory]}
        if directory == PROC:
            here |= {name: node for node, name in self._kernels().items()}
        for at, (name, node) in enumerate(here.items()):
            if at >= start:
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


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) <= len(str(_LAST_NUMBER))


def _node(name: str) -> int:
    """One that depends on the name alone: the next server may find others beside it."""
    number = 0
    for byte in name.encode():
        number = (number * 257 + byte) % _PRIME
    return _NAMED + number
