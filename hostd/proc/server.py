"""One request after the other, each answered from what the kernel says: nothing here waits for a container.

The request being worked on lies in memory that the keeper holds as well: the kernel writes it there, and a server that
is killed finds nothing lost; the next one begins with it.  So a reader waits for a moment, on every kernel.
"""

import errno
import posix
import sys
import time

from hostd.proc import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from mmap import mmap

    from hostd.proc.files import Files
    from hostd.proc.tree import Tree

    Answer = bytes | int  # or an error number

NOTE = wire.BUFFER + 8  # bytes that are kept: the request, and how often it was begun again
_TRIES = 2  # a request that has killed that many servers is answered with an error
_KEPT, _KEPT_BYTES = 64, 1 << 20  # texts of open files, for reads that take several calls
_ACCESS_MODES = posix.O_WRONLY | posix.O_RDWR


class Server:
    def __init__(self, fuse: int, note: "mmap", files: "Files", tree: "Tree") -> None:
        self._fuse = fuse
        self._note = note
        self._request = memoryview(note)[: wire.BUFFER]
        self._files = files
        self._tree = tree
        self._kept: dict[int, bytes] = {}  # by handle
        self._handles = time.monotonic_ns()  # none that an earlier server gave to somebody else
        self._complained: set[int] = set()
        self._table: dict[int, Callable[[int, int, int], Answer]] = {
            wire.INIT: self._init,
            wire.LOOKUP: self._lookup,
            wire.GETATTR: self._attributes,
            wire.READLINK: lambda node, pid, length: self._tree.target(node) or errno.EINVAL,
            wire.OPEN: self._open,
            wire.READ: self._read,
            wire.RELEASE: self._release,
            wire.STATFS: lambda node, pid, length: wire.statistics(),
            wire.OPENDIR: lambda node, pid, length: wire.opened(0),
            wire.READDIR: self._read_directory,
            wire.RELEASEDIR: lambda node, pid, length: b"",
        }

    def serve(self) -> None:
        """Until the file system is mounted nowhere any more."""
        self._take_up()
        while True:
            try:
                posix.readv(self._fuse, [self._request])
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                if error.errno not in (errno.ENOENT, errno.EINTR, errno.EAGAIN):  # ENOENT: nobody waits for it any more
                    raise
            else:
                self._answer()

    def _take_up(self) -> None:
        """Finish what an earlier server was working on; whether it had answered, only the kernel knows."""
        length = wire.REQUEST.unpack_from(self._request)[0]
        if not length:
            return
        self._note[wire.BUFFER] += 1
        if self._note[wire.BUFFER] > _TRIES:
            unique = wire.REQUEST.unpack_from(self._request)[2]
            self._reply(unique, errno.EIO)
        else:
            self._answer()

    def _answer(self) -> None:
        length, code, unique, node, _, _, pid, _, _ = wire.REQUEST.unpack_from(self._request)
        if code not in wire.UNANSWERED:
            self._reply(unique, self._work(code, node, pid, length))
        else:
            self._done()

    def _work(self, code: int, node: int, pid: int, length: int) -> "Answer":
        """What cannot be told is an error of that one request."""
        work = self._table.get(code)
        if work is None:
            return errno.ENOSYS
        try:
            if code != wire.INIT and self._tree.kind(node) is None:
                return errno.ESTALE
            return work(node, pid, length)
        except Exception as error:
            if code not in self._complained and not isinstance(error, ProcessLookupError | FileNotFoundError):
                self._complained.add(code)  # once: a guest may ask without end
                print(f"hostd: views: request {code}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            return errno.EIO

    def _reply(self, unique: int, answer: "Answer") -> None:
        data, error = (b"", -answer) if isinstance(answer, int) else (answer, 0)
        try:
            posix.writev(self._fuse, [wire.REPLY.pack(wire.REPLY.size + len(data), error, unique), data])
        except OSError as failure:
            if failure.errno not in (errno.ENOENT, errno.ENODEV):  # it was answered, or the reader is gone
                raise
        self._done()

    def _done(self) -> None:
        self._note[:4] = b"\0\0\0\0"  # the length: there is no request
        self._note[wire.BUFFER] = 0

    def _init(self, node: int, pid: int, length: int) -> "Answer":
        _, minor, _, flags = wire.INIT_IN.unpack_from(self._request, wire.REQUEST.size)
        return wire.initialized(minor, flags)

    def _lookup(self, node: int, pid: int, length: int) -> "Answer":
        name = bytes(self._request[wire.REQUEST.size : length]).rstrip(b"\0").decode("ascii", "replace")
        found = self._tree.find(node, name)
        kind = self._tree.kind(found)
        return wire.entry(found, kind) if kind else errno.ENOENT

    def _attributes(self, node: int, pid: int, length: int) -> "Answer":
        kind = self._tree.kind(node)
        return wire.attributes(node, kind) if kind else errno.ESTALE

    def _open(self, node: int, pid: int, length: int) -> "Answer":
        if wire.OPEN_IN.unpack_from(self._request, wire.REQUEST.size)[0] & _ACCESS_MODES:
            return errno.EACCES
        self._handles += 1
        return wire.opened(self._handles)

    def _read(self, node: int, pid: int, length: int) -> "Answer":
        """A read at the beginning makes the text, those behind it go on with that, as far as it is remembered."""
        handle, offset, size, flags = wire.READ_IN.unpack_from(self._request, wire.REQUEST.size)
        name = self._tree.file(node)
        if not name:
            return errno.EINVAL
        if not flags & wire.FOR_ITSELF:
            return self._for_the_page_cache(pid, size)
        text = self._kept.get(handle) if offset else None
        if text is None:
            text = self._files.text(name, pid)
            self._keep(handle, text)
        return text[offset : offset + size]

    def _for_the_page_cache(self, pid: int, size: int) -> "Answer":
        """Which all containers share: nobody's figures.  CRIU maps each open file, to see whether it is a program."""
        return bytes(min(size, wire.BUFFER)) if self._files.of_the_host(pid) else errno.EINVAL

    def _keep(self, handle: int, text: bytes) -> None:
        """The oldest go: a guest may have any number of files open."""
        self._kept.pop(handle, None)
        self._kept[handle] = text
        while len(self._kept) > 1 and (
            len(self._kept) > _KEPT or sum([len(kept) for kept in self._kept.values()]) > _KEPT_BYTES
        ):
            del self._kept[next(iter(self._kept))]

    def _release(self, node: int, pid: int, length: int) -> "Answer":
        self._kept.pop(wire.HANDLE.unpack_from(self._request, wire.REQUEST.size)[0], None)
        return b""

    def _read_directory(self, node: int, pid: int, length: int) -> "Answer":
        _, offset, size, _ = wire.READ_IN.unpack_from(self._request, wire.REQUEST.size)
        if self._tree.kind(node) != wire.DIRECTORY:
            return errno.ENOTDIR
        return wire.listing(self._tree.entries(node, offset, pid), size)
