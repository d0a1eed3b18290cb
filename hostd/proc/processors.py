"""/sys/devices/system/cpu of a container: a directory for each processor that it may use, which is what programs count.

    /cpu-CTID              what is mounted there
    /cpu-CTID/.vz          where the kernel's own is mounted in it
    /cpu-CTID/online       a file of the server's
    /cpu-CTID/cpuN         a directory with a link ../.vz/cpuN/NAME for every name that the kernel has in its own
    /cpu-CTID/NAME         a link .vz/NAME, for every other name that the kernel has

A link of the kernel's leads where it did.  Every processor of the machine's is found by its name; which ones are listed
depends on who asks, and when.  So what is open stays, whatever the container may use tomorrow, and the kernel may
remember each name for ever.  What is behind the links is the kernel's to tell: some of it takes long, and others would
wait meanwhile.
"""

import posix
import time

from hostd.proc import wire
from hostd.proc.nodes import FILES, PRIME, number
from hostd.proc.points import CPU, KERNELS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hostd.proc.wire import Entry, Kind

# Directories: of each container, as the kernel locks one while it is read; _HIDDEN is .vz, then cpu0, cpu1...
_DIRECTORIES, _EACH = 1 << 62, 1 << 16
TOP, _HIDDEN, _FIRST = 0, 1, 2
# Links are the same for all: from the place of their directory on, by their names.
_LINKS = 1 << 61
_LAST_CTID = (1 << 31) - 1
_OWN = {"online": FILES["online"]}  # in the place of the kernel's
_FRESH = 60.0  # seconds: a module of the kernel's may bring another name, and a processor may go
_REMEMBERED = 64  # directories of the kernel's
_LISTED_LINKS = 1 << 20  # where links begin in a listing: behind all processors
_FOLDER, _FILE, _LINK = wire.DIRECTORY[0], wire.FILE[0], wire.link(b"")[0]


def of_container(ctid: int) -> int:
    """The directory of that container."""
    return _DIRECTORIES + ctid * _EACH


def is_one(node: int) -> bool:
    """*node* is a directory or a link of these."""
    return node >= _DIRECTORIES or _LINKS <= node < _LINKS + _EACH * PRIME


class Processors:
    def __init__(self) -> None:
        self._links: dict[int, tuple[float, dict[int, str]]] = {}  # of a directory, by its place: until when, by number
        self._cpus: frozenset[int] = frozenset()

    def kind(self, node: int) -> "Kind | None":
        """None: there is no such node here."""
        if node >= _DIRECTORIES:
            ctid, place = divmod(node - _DIRECTORIES, _EACH)
            there = place < _FIRST or self._is_there(place - _FIRST)
            return wire.DIRECTORY if 0 < ctid <= _LAST_CTID and there else None
        to = self.target(node)
        return wire.link(to) if to else None

    def target(self, node: int) -> bytes:
        """Where the link *node* leads; b"" for none."""
        place, hashed = divmod(node - _LINKS, PRIME)
        name = self._kernels(place).get(hashed) if 0 <= place < _EACH else None
        return target(place, name) if name else b""

    def find(self, directory: int, name: str) -> int:
        """The node; 0 for none."""
        top, place = _split(directory)
        if place == TOP and name in _OWN:
            return _OWN[name]
        if place == TOP and name == KERNELS:
            return top + _HIDDEN
        cpu = cpu_of(name) if place == TOP else -1
        if cpu >= 0:
            return top + _FIRST + cpu if self._is_there(cpu) else 0
        return _link(place, name) if self._kernels(place).get(number(name)) == name else 0

    def entries(self, directory: int, start: int, listed: "Iterable[int]") -> "Iterator[Entry]":
        """What is in *directory* from *start* on, *listed* being the processors of who asks."""
        yield from (one for one in self._entries(directory, listed) if one[3] > start)

    def _entries(self, directory: int, listed: "Iterable[int]") -> "Iterator[Entry]":
        top, place = _split(directory)
        yield ".", directory, _FOLDER, 1
        yield "..", wire.ROOT if place == TOP else top, _FOLDER, 2
        if place == TOP:
            yield KERNELS, top + _HIDDEN, _FOLDER, 3
            yield from ((name, node, _FILE, 4 + at) for at, (name, node) in enumerate(_OWN.items()))
            for cpu in listed:
                if self._is_there(cpu):
                    yield f"cpu{cpu}", top + _FIRST + cpu, _FOLDER, 4 + len(_OWN) + cpu
        for at, name in enumerate(self._kernels(place).values()):
            yield name, _link(place, name), _LINK, _LISTED_LINKS + at

    def _is_there(self, cpu: int) -> bool:
        self._kernels(TOP)
        return cpu in self._cpus

    def _kernels(self, place: int) -> dict[int, str]:
        """The kernel's names that are links in a directory."""
        until, links = self._links.get(place, (0.0, {}))
        now = time.monotonic()
        if now >= until:
            names = _names(place)
            links = {number(name): name for name in names if place != TOP or (cpu_of(name) < 0 and name not in _OWN)}
            if place == TOP:
                self._cpus = frozenset(map(cpu_of, names)) - {-1}
            self._links.pop(place, None)
            self._links[place] = now + _FRESH, links
            if len(self._links) > _REMEMBERED:
                del self._links[next(iter(self._links))]
        return links


def place_of(cpu: int) -> int:
    """The directory of that processor, among all of a container."""
    return _FIRST + cpu


def target(place: int, name: str) -> bytes:
    """Where the link of that name leads."""
    below = "" if place == TOP else f"cpu{place - _FIRST}/"
    try:
        return posix.readlink(f"{CPU}/{below}{name}").encode()
    except OSError:  # it is none
        return f"{'../' if below else ''}{KERNELS}/{below}{name}".encode()


def _names(place: int) -> list[str]:
    if place == _HIDDEN:
        return []
    try:
        return posix.listdir(CPU if place == TOP else f"{CPU}/cpu{place - _FIRST}")
    except OSError:
        return []  # this processor has been taken out


def _split(directory: int) -> tuple[int, int]:
    place = (directory - _DIRECTORIES) % _EACH
    return directory - place, place


def _link(place: int, name: str) -> int:
    return _LINKS + place * PRIME + number(name)


def cpu_of(name: str) -> int:
    """The processor whose directory has that name; -1: it is another name."""
    digits = name[3:]
    plain = name.startswith("cpu") and digits.isascii() and digits.isdigit() and str(int(digits)) == digits
    return int(digits) if plain and int(digits) < _EACH - _FIRST else -1
