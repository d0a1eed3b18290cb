"""/sys/devices/system/cpu of a container: a directory for each processor that it may use, which is what programs count.

    /cpu-CTID              what is mounted there
    /cpu-CTID/.vz          where the kernel's own is mounted in it
    /cpu-CTID/online       a file of the server's
    /cpu-CTID/cpuN         a directory with a link ../.vz/cpuN/NAME for every name that the kernel has in its own
    /cpu-CTID/NAME         a link .vz/NAME, for every other name that the kernel has

Every processor of the machine's is found by its name; which ones are listed depends on who asks, and when.  So what is
open stays, whatever the container may use tomorrow, and the kernel may remember each name for ever.  What is behind the
links is the kernel's to tell: some of it takes long, and others would wait meanwhile.
"""

import posix

from hostd.proc import wire
from hostd.proc.nodes import FILES
from hostd.proc.points import CPU, KERNELS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hostd.proc.wire import Kind

# Directories: of each container, as the kernel locks one while it is read; _HIDDEN is .vz, then cpu0, cpu1...
_DIRECTORIES, _EACH = 1 << 62, 1 << 16
_TOP, _HIDDEN, _FIRST = 0, 1, 2
# Links are the same for all: from the place of their directory on, by their names.
_LINKS, _PRIME = 1 << 61, (1 << 31) - 1
_LAST_CTID = (1 << 31) - 1
_OWN = {"online": FILES["online"]}  # in the place of the kernel's


def of_container(ctid: int) -> int:
    """The directory of that container."""
    return _DIRECTORIES + ctid * _EACH


def kind(node: int) -> "Kind | None":
    """None: there is no such node here."""
    if node >= _DIRECTORIES:
        ctid, place = divmod(node - _DIRECTORIES, _EACH)
        there = place < _FIRST or _is_there(place - _FIRST)
        return wire.DIRECTORY if 0 < ctid <= _LAST_CTID and there else None
    to = target(node)
    return wire.link(to) if to else None


def target(node: int) -> bytes:
    """Where the link *node* leads; b"" for none."""
    place, number = divmod(node - _LINKS, _PRIME)
    if not _is_link(node) or place == _HIDDEN:
        return b""
    name = next((name for name in _kernels(place) if _number(name) == number), "")
    if not name:
        return b""
    return f"{KERNELS}/{name}".encode() if place == _TOP else f"../{KERNELS}/cpu{place - _FIRST}/{name}".encode()


def find(directory: int, name: str) -> int:
    """The node; 0 for none."""
    top, place = _split(directory)
    if place == _HIDDEN:
        return 0
    if place == _TOP and name in _OWN:
        return _OWN[name]
    if place == _TOP and name == KERNELS:
        return top + _HIDDEN
    cpu = _cpu(name) if place == _TOP else -1
    if cpu >= 0:
        return top + _FIRST + cpu if _is_there(cpu) else 0
    return _link(place, name) if name in _kernels(place) else 0


def entries(directory: int, listed: "Iterable[int]") -> "Iterator[tuple[str, int, int]]":
    """Names, nodes and modes in *directory*, *listed* being the processors of who asks."""
    top, place = _split(directory)
    folder, file, link = (kind[0] for kind in (wire.DIRECTORY, wire.FILE, wire.link(b"")))
    yield ".", directory, folder
    yield "..", wire.ROOT if place == _TOP else top, folder
    if place == _TOP:
        yield KERNELS, top + _HIDDEN, folder
        yield from ((name, node, file) for name, node in _OWN.items())
        yield from ((f"cpu{cpu}", top + _FIRST + cpu, folder) for cpu in listed if _is_there(cpu))
    if place != _HIDDEN:
        yield from ((name, _link(place, name), link) for name in _kernels(place))


def is_one(node: int) -> bool:
    """*node* is a directory or a link of these."""
    return node >= _DIRECTORIES or _is_link(node)


def _is_link(node: int) -> bool:
    return _LINKS <= node < _LINKS + _EACH * _PRIME


def _split(directory: int) -> tuple[int, int]:
    place = (directory - _DIRECTORIES) % _EACH
    return directory - place, place


def _link(place: int, name: str) -> int:
    return _LINKS + place * _PRIME + _number(name)


def _number(name: str) -> int:
    number = 0
    for byte in name.encode():
        number = (number * 257 + byte) % _PRIME
    return number


def _kernels(place: int) -> list[str]:
    """The kernel's names that are links in a directory."""
    try:
        names = posix.listdir(CPU if place == _TOP else f"{CPU}/cpu{place - _FIRST}")
    except OSError:
        return []  # this processor has been taken out
    return [name for name in names if place != _TOP or (_cpu(name) < 0 and name not in _OWN)]


def _cpu(name: str) -> int:
    """The processor whose directory has that name; -1: it is another name."""
    number = name[3:]
    plain = name.startswith("cpu") and number.isascii() and number.isdigit() and str(int(number)) == number
    return int(number) if plain and int(number) < _EACH - _FIRST else -1


def _is_there(cpu: int) -> bool:
    try:
        posix.stat(f"{CPU}/cpu{cpu}")
    except OSError:
        return False
    return True
