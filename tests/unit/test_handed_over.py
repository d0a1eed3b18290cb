"""What a guest hands over: told apart without a question to whoever is behind it, and closed by somebody else."""

import os
import pty
import socket
import threading
from collections.abc import Callable

import pytest

from hostd.container import handed_over
from hostd.container.handed_over import Disposal, Kind, kind
from hostd.kernel.fd import Fd
from tests.harness import machine


def master() -> int:
    first, second = pty.openpty()
    os.close(second)
    return first


def slave() -> int:
    first, second = pty.openpty()
    os.close(first)
    return second


def half(kept: int) -> int:
    ends = os.pipe()
    os.close(ends[1 - kept])
    return ends[kept]


KINDS: list[tuple[Callable[[], int], Kind]] = [
    (lambda: os.memfd_create("console"), Kind.MEMORY),
    (master, Kind.TERMINAL),
    (slave, Kind.OTHER),
    (lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).detach(), Kind.UNIX),
    (lambda: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).detach(), Kind.UNIX),
    (lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).detach(), Kind.OTHER),
    (lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).detach(), Kind.OTHER),
    (lambda: os.open(__file__, os.O_RDONLY), Kind.OTHER),
    (lambda: os.open("/dev/zero", os.O_RDWR), Kind.OTHER),
    (lambda: os.open("/proc/self/status", os.O_RDONLY), Kind.OTHER),
    (lambda: half(0), Kind.OTHER),
    (lambda: half(1), Kind.OTHER),
]


@pytest.mark.parametrize(("make", "wanted"), KINDS)
def test_kinds(make: Callable[[], int], wanted: Kind) -> None:
    with Fd(make(), "given") as fd:
        assert kind(fd) is wanted


def test_a_file_called_like_a_socket_is_none(tmp_path: os.PathLike[str]) -> None:
    with Fd.open(f"{tmp_path}/socket:[7]", os.O_RDWR | os.O_CREAT) as fd:
        assert kind(fd) is Kind.OTHER


class Slow(Fd):
    """Its close takes until somebody answers."""

    answer = threading.Event()

    def close(self) -> None:
        if self._number >= 0:
            self.answer.wait()
        super().close()


def test_nobody_waits_for_a_close_that_takes_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handed_over, "MOST_LEFT", 3)
    disposal, slow = Disposal(), Slow(half(0), "FUSE")
    numbers = [slow.fileno()]
    given: list[Fd] = [slow]
    assert disposal.take(given) and not given
    others = [Fd(half(0), "another") for _ in range(5)]
    numbers += [fd.fileno() for fd in others]
    assert not disposal.take(others), "too many wait"
    assert all(map(machine.is_open, numbers))
    slow.answer.set()
    machine.until("all are closed", lambda: not any(map(machine.is_open, numbers)))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    copy, number = ours.dup(), ours.fileno()
    disposal.take_channel(ours)
    with theirs, copy, pytest.raises(BrokenPipeError):
        theirs.send(b"more")
    machine.until("it is closed", lambda: not machine.is_open(number))
