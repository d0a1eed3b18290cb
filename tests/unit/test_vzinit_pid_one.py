"""The helper's line to PID 1: jobs that go on with a second order."""

import marshal
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from vzinit.pid_one import PidOne


class Line:
    """PID 1, and the helper at the other end."""

    def __init__(self, ours: socket.socket, theirs: socket.socket) -> None:
        self._socket = ours
        self.helper = PidOne(theirs.detach())

    def ordered(self) -> "tuple[Any, ...]":
        order = marshal.loads(self._socket.recv(1 << 16, socket.MSG_DONTWAIT))
        assert isinstance(order, tuple)
        return order

    def over(self, number: int, result: str) -> None:
        self._socket.send(marshal.dumps(("job", number, result)))


@pytest.fixture
def line() -> Iterator[Line]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        made = Line(ours, theirs)
        yield made
        made.helper._socket.close()


def test_a_second_order_belongs_to_the_same_job(line: Line) -> None:
    number = line.helper.job("stop", ["a"], "a", then=lambda: ("start", ["a"], "a"))
    assert line.ordered() == ("stop", number, ["a"], "a")
    line.over(number, "done")
    line.helper.hear()
    assert line.ordered() == ("start", number, ["a"], "a")
    assert line.helper.over == []
    line.over(number, "failed")
    line.helper.hear()
    assert line.helper.over == [(number, "failed")]


@pytest.mark.parametrize(("result", "order"), [("canceled", ("start", ["a"], "a")), ("done", ())])
def test_there_may_be_none(line: Line, result: str, order: "tuple[Any, ...]") -> None:
    number = line.helper.job("stop", ["a"], "a", then=lambda: order)
    line.ordered()
    line.over(number, result)
    line.helper.hear()
    assert line.helper.over == [(number, result)]
    with pytest.raises(BlockingIOError):
        line.ordered()


def test_it_comes_though_the_client_has_gone(line: Line) -> None:
    number = line.helper.job("stop", ["a"], "a", then=lambda: ("start", ["a"], "a"))
    other = line.helper.job("stop", ["b"], "b")
    line.over(other, "done")
    line.over(number, "done")
    line.helper.finish()
    assert [line.ordered()[0] for _ in range(3)] == ["stop", "stop", "start"]
