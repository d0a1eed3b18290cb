"""The server's answers to the kernel, and to requests that an earlier server did not finish."""

import errno
import socket
from collections.abc import Iterator
from mmap import mmap

import pytest

from hostd.proc import wire
from hostd.proc.caller import Cgroups
from hostd.proc.points import POINTS
from hostd.proc.server import NOTE, Server
from hostd.proc.tree import Tree

NAMES = list(POINTS)
MEMINFO, STAT = wire.ROOT + 1 + NAMES.index("meminfo"), wire.ROOT + 1 + NAMES.index("stat")

HOST = 12  # number of a process that is in no container


class FakeFiles:
    """What each file says; an exception is raised."""

    def __init__(self) -> None:
        self.says: bytes | BaseException = b"one two three"
        self.asked: list[tuple[str, int]] = []

    def of_the_host(self, pid: int) -> bool:
        return pid == HOST

    def text(self, name: str, pid: int) -> bytes:
        self.asked.append((name, pid))
        if isinstance(self.says, BaseException):
            raise self.says
        return self.says


class Box:
    """A server whose kernel is a socket."""

    def __init__(self) -> None:
        self.kernel, self.end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.note, self.files = mmap(-1, NOTE), FakeFiles()
        self.unique, self.pid = 0, 4711
        self.server = self.next_server()

    def next_server(self) -> Server:
        tree = Tree(Cgroups("root", {}), lambda pid: b"0-1")
        self.server = Server(self.end.fileno(), self.note, self.files, tree)  # type: ignore[arg-type]
        return self.server

    def note_request(self, code: int, node: int = wire.ROOT, body: bytes = b"") -> None:
        """What the kernel does when a server reads."""
        self.unique += 2
        size = wire.REQUEST.size + len(body)
        self.note[:size] = wire.REQUEST.pack(size, code, self.unique, node, 0, 0, self.pid, 0, 0) + body

    def ask(self, code: int, node: int = wire.ROOT, body: bytes = b"") -> tuple[int, bytes]:
        """Error number and data."""
        self.note_request(code, node, body)
        self.server._answer()
        return self.answer()

    def answer(self) -> tuple[int, bytes]:
        data = self.kernel.recv(65536)
        length, error, unique = wire.REPLY.unpack_from(data)
        assert (length, unique) == (len(data), self.unique)
        return -error, data[wire.REPLY.size :]

    def read(self, handle: int, offset: int, size: int, node: int = MEMINFO) -> bytes:
        error, data = self.ask(wire.READ, node, wire.READ_IN.pack(handle, offset, size, wire.FOR_ITSELF))
        assert error == 0
        return data


@pytest.fixture
def box() -> Iterator[Box]:
    made = Box()
    yield made
    made.kernel.close()
    made.end.close()


def test_it_knows_its_files_and_no_others(box: Box) -> None:
    error, data = box.ask(wire.LOOKUP, wire.ROOT, b"meminfo\0")
    assert error == 0 and int.from_bytes(data[:8], "little") == MEMINFO and len(data) == 128
    assert box.ask(wire.LOOKUP, wire.ROOT, b"shadow\0") == (errno.ENOENT, b"")
    assert box.ask(wire.LOOKUP, wire.ROOT, b"\xff" * 200 + b"\0") == (errno.ENOENT, b"")
    assert box.ask(wire.LOOKUP, MEMINFO, b"meminfo\0") == (errno.ENOENT, b"")
    assert box.ask(wire.GETATTR, 1 << 40) == (errno.ESTALE, b"")


@pytest.mark.parametrize("code", [6, 8, 9, 16, 21, 36, 40, 4096])
def test_what_it_does_not_know_it_refuses(box: Box, code: int) -> None:
    assert box.ask(code) == (errno.ENOSYS, b"")


def test_nobody_writes(box: Box) -> None:
    assert box.ask(wire.OPEN, MEMINFO, wire.OPEN_IN.pack(0o2)) == (errno.EACCES, b"")
    assert box.ask(wire.OPEN, MEMINFO, wire.OPEN_IN.pack(0))[0] == 0


def test_reads_of_one_file_go_on_with_its_text(box: Box) -> None:
    assert box.read(5, 0, 4) == b"one "
    box.files.says = b"another text"
    assert box.read(5, 4, 100) == b"two three"
    assert box.read(5, 13, 100) == b""
    assert box.read(5, 0, 100) == b"another text"
    assert box.files.asked == [("meminfo", 4711)] * 2


def test_the_page_cache_gets_nothing(box: Box) -> None:
    """It is one for all containers.  A process of the host, which maps a file, finds no figures in it."""
    request = wire.READ_IN.pack(5, 0, 4096, 0)
    assert box.ask(wire.READ, MEMINFO, request) == (errno.EINVAL, b"")
    box.pid = HOST
    assert box.ask(wire.READ, MEMINFO, request) == (0, bytes(4096))
    assert box.files.asked == []


def test_many_open_files_take_little_memory(box: Box) -> None:
    box.files.says = bytes(300_000)
    for handle in range(100):
        box.read(handle, 0, 1)
    assert len(box.server._kept) <= 4
    box.files.says = b"x"
    for handle in range(1000, 1200):
        box.read(handle, 0, 1)
    assert len(box.server._kept) <= 64


def test_an_error_is_of_that_request_alone(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    request = wire.READ_IN.pack(5, 0, 10, wire.FOR_ITSELF)
    box.files.says = ProcessLookupError()
    assert box.ask(wire.READ, STAT, request) == (errno.EIO, b"")
    assert capsys.readouterr().err == ""
    box.files.says = ValueError("strange")
    assert [box.ask(wire.READ, STAT, request)[0] for _ in range(3)] == [errno.EIO] * 3
    assert capsys.readouterr().err.count("ValueError: strange") == 1
    box.files.says = b"well"
    assert box.read(5, 0, 10, STAT) == b"well"


def test_the_next_server_finishes_what_was_begun(box: Box) -> None:
    box.note_request(wire.READ, MEMINFO, wire.READ_IN.pack(5, 0, 3, wire.FOR_ITSELF))
    box.next_server()._take_up()
    assert box.answer() == (0, b"one")
    box.next_server()._take_up()  # nothing is left
    box.kernel.setblocking(False)
    with pytest.raises(BlockingIOError):
        box.kernel.recv(100)


def test_a_request_that_kills_servers_is_given_up(box: Box) -> None:
    class Killed(BaseException):
        pass

    box.note_request(wire.READ, MEMINFO, wire.READ_IN.pack(5, 0, 3, wire.FOR_ITSELF))
    box.files.says = Killed()
    for _ in range(2):
        with pytest.raises(Killed):
            box.next_server()._take_up()
    box.next_server()._take_up()
    assert box.answer() == (errno.EIO, b"")


def test_handles_of_one_server_are_not_those_of_the_next(box: Box) -> None:
    """A file that was opened before must not go on with somebody else's text."""
    handles = set()
    for _ in range(3):
        box.next_server()
        handles |= {box.ask(wire.OPEN, MEMINFO, wire.OPEN_IN.pack(0))[1][:8] for _ in range(3)}
    assert len(handles) == 9


def test_the_directory_is_listed_in_parts(box: Box) -> None:
    names, offset = b"", 0
    while True:
        error, data = box.ask(wire.READDIR, wire.ROOT, wire.READ_IN.pack(0, offset, 100, 0))
        assert error == 0
        if not data:
            break
        names += data
        at = 0
        while at < len(data):
            offset, length = int.from_bytes(data[at + 8 : at + 16], "little"), data[at + 16]
            at += 24 + (length + 7) // 8 * 8
    assert all(name.encode() in names for name in NAMES)
