"""The FUSE protocol of linux/fuse.h, as far as a directory of small read-only files needs it."""

from _struct import Struct

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 14, 15, 17, 18
INIT, OPENDIR, READDIR, RELEASEDIR, BATCH_FORGET = 26, 27, 28, 29, 42
UNANSWERED = (FORGET, BATCH_FORGET)

REQUEST = Struct("=IIQQIIIHH")  # fuse_in_header: length, opcode, unique, node, uid, gid, pid, extensions, -
REPLY = Struct("=IiQ")  # fuse_out_header: length, -errno, unique
READ_IN = Struct("=QQII")  # handle, offset, size, flags
HANDLE = Struct("=Q")
OPEN_IN = Struct("=I")  # flags
INIT_IN = Struct("=III")  # major, minor, read-ahead
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
_DIRECTORY, _FILE = 0o040555, 0o100444
_DIR_TYPE, _FILE_TYPE = 4, 8
# FUSE_READ_LOCKOWNER, of a read by a process into its own memory.  Without it the kernel fills its page cache, which
# all containers share: for sendfile(2) on kernels after 6.4, unless it is refused, and for mappings.
FOR_ITSELF = 2
_SIZE = 4096  # of a file; with 0 sendfile would find an empty one, and not even ask
ROOT = 1


def initialized(minor: int) -> bytes:
    return _INIT.pack(_MAJOR, min(minor, _MINOR), 0, 0, 12, 9, _MAX_WRITE, 1, 0, 0, 0, *(0,) * 7)


def attributes(node: int) -> bytes:
    return _ATTR_HEAD.pack(_FOREVER, 0, 0) + _attr(node)


def entry(node: int) -> bytes:
    return _ENTRY.pack(node, 0, _FOREVER, _FOREVER, 0, 0) + _attr(node)


def opened(handle: int) -> bytes:
    return _OPENED.pack(handle, _DIRECT_IO | _NO_FLUSH, 0)


def statistics() -> bytes:
    """No blocks: `df` leaves it out."""
    return _STATFS.pack(0, 0, 0, 0, 0, 4096, 255, 4096, 0, *(0,) * 6)


def listing(names: "list[tuple[str, int]]", offset: int, size: int) -> bytes:
    """Directory entries (name, node) from number *offset* on, as many as *size* bytes hold."""
    found = b""
    for number, (name, node) in enumerate(names):
        if number < offset:
            continue
        raw = name.encode()
        kind = _DIR_TYPE if node == ROOT else _FILE_TYPE
        one = _DIRENT.pack(node, number + 1, len(raw), kind) + raw
        one += bytes(-len(one) % 8)
        if len(found) + len(one) > size:
            break
        found += one
    return found


def _attr(node: int) -> bytes:
    mode, links, size = (_DIRECTORY, 2, 0) if node == ROOT else (_FILE, 1, _SIZE)
    return _ATTR.pack(node, size, 0, 0, 0, 0, 0, 0, 0, mode, links, 0, 0, 0, 4096, 0)
