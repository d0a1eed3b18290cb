"""The FUSE protocol of linux/fuse.h, as far as directories of small read-only files and links need it."""

from _struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Kind = tuple[int, int, int]  # what a node is: mode, links, size
    Entry = tuple[str, int, int, int]  # of a directory: name, node, mode (0: not told), where the next one begins

LOOKUP, FORGET, GETATTR, READLINK, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 5, 14, 15, 17, 18
INIT, OPENDIR, READDIR, RELEASEDIR, BATCH_FORGET = 26, 27, 28, 29, 42
UNANSWERED = (FORGET, BATCH_FORGET)

REQUEST = Struct("=IIQQIIIHH")  # fuse_in_header: length, opcode, unique, node, uid, gid, pid, extensions, -
REPLY = Struct("=IiQ")  # fuse_out_header: length, -errno, unique
READ_IN = Struct("=QQII")  # handle, offset, size, flags
HANDLE = Struct("=Q")
OPEN_IN = Struct("=I")  # flags
INIT_IN = Struct("=IIII")  # major, minor, read-ahead, flags
_INIT = Struct("=IIIIHHIIHHI7I")
_ATTR = Struct("=QQQQQQIIIIIIIIII")
_ENTRY = Struct("=QQQQII")
_ATTR_HEAD = Struct("=QII")
_OPENED = Struct("=QII")
_STATFS = Struct("=QQQQQIIII6I")
_DIRENT = Struct("=QQII")

BUFFER = 8192  # FUSE_MIN_READ_BUFFER: enough for every request while writes are not taken
_MAJOR, _MINOR = 7, 31  # what is spoken here; every kernel speaks more
_MAX_WRITE = 4096  # the least that the kernel accepts
_FOREVER = 10 * 365 * 86400  # seconds that the kernel may remember a name: the tree never changes
_DIRECT_IO, _NO_FLUSH = 1, 32  # FOPEN_*: every read comes here; nothing happens on close
_CACHE_SYMLINKS = 1 << 23  # FUSE_CACHE_SYMLINKS: a link leads to the same name for all
# FUSE_READ_LOCKOWNER, of a read by a process into its own memory.  Without it the kernel fills its page cache, which
# all containers share: for sendfile(2) on kernels after 6.4, unless it is refused, and for mappings.
FOR_ITSELF = 2
_SIZE = 4096  # of a file; with 0 sendfile would find an empty one, and not even ask
ROOT = 1
_LARGEST = (1 << 32) - 5  # a prime

DIRECTORY, FILE = (0o040555, 2, 0), (0o100444, 1, _SIZE)


def link(target: bytes) -> "Kind":
    return 0o120777, 1, len(target)


def initialized(minor: int, offered: int) -> bytes:
    flags = offered & _CACHE_SYMLINKS
    return _INIT.pack(_MAJOR, min(minor, _MINOR), 0, flags, 12, 9, _MAX_WRITE, 1, 0, 0, 0, *(0,) * 7)


def attributes(node: int, kind: "Kind") -> bytes:
    return _ATTR_HEAD.pack(_FOREVER, 0, 0) + _attr(node, kind)


def entry(node: int, kind: "Kind") -> bytes:
    return _ENTRY.pack(node, 0, _FOREVER, _FOREVER, 0, 0) + _attr(node, kind)


def opened(handle: int) -> bytes:
    return _OPENED.pack(handle, _DIRECT_IO | _NO_FLUSH, 0)


def statistics() -> bytes:
    """No blocks: `df` leaves it out."""
    return _STATFS.pack(0, 0, 0, 0, 0, 4096, 255, 4096, 0, *(0,) * 6)


def _shown(node: int) -> int:
    """What stat(2) and readdir(3) tell: programs of 32 bits take no larger number."""
    return node if node < _LARGEST else node % _LARGEST + 1


def listing(entries: "Iterable[Entry]", size: int) -> bytes:
    """As many *entries* as *size* bytes hold."""
    found = b""
    for name, node, mode, after in entries:
        raw = name.encode()
        one = _DIRENT.pack(_shown(node), after, len(raw), mode >> 12) + raw
        one += bytes(-len(one) % 8)
        if len(found) + len(one) > size:
            break
        found += one
    return found


def _attr(node: int, kind: "Kind") -> bytes:
    mode, links, size = kind
    return _ATTR.pack(_shown(node), size, 0, 0, 0, 0, 0, 0, 0, mode, links, 0, 0, 0, 4096, 0)
