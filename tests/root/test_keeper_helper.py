"""Helpers of the keeper: programs that are started again, with the descriptors that are held for them."""

import os
import signal
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from hostd.keeper import helper
from hostd.keeper.helper import Helpers
from hostd.keeper.table import Table
from hostd.keeper.upgrade import Handover
from tests.harness import machine

pytestmark = pytest.mark.root

SHELL = ["/bin/sh", "-c", "echo $$ $0 >&3; read line <&4; echo $line >&3; sleep 1000 & wait"]


def await_end(pid: int) -> None:
    """Of this child: the others are other tests' business."""
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    machine.until("its end", lambda: os.waitid(os.P_PID, pid, options) is not None)


class Box:
    """A keeper's table with a pipe that helpers report to, and one that they are told something by."""

    def __init__(self) -> None:
        self.table = Table()
        self.helpers = Helpers(self.table, {})
        self.reports, said = os.pipe2(os.O_CLOEXEC)
        heard, self.tell = os.pipe2(os.O_CLOEXEC)
        self.table.hold("said", said)
        self.table.hold("heard", heard)

    def set(self, *words: str) -> None:
        self.helpers.set("views", {"arg": [*SHELL, *words], "fd": ["said", "heard"]})

    def report(self) -> str:
        return os.read(self.reports, 100).decode().strip()

    def reap(self) -> None:
        """As the keeper's loop does."""
        pid = self.pid
        await_end(pid)
        assert self.helpers.reap(pid)
        machine.until("the next start", lambda: self.helpers.due() != float("inf"))
        time.sleep(max(0.0, self.helpers.due() - time.monotonic()))
        self.helpers.start_due(time.monotonic())

    @property
    def pid(self) -> int:
        return self.table.helpers["views"].pid


@pytest.fixture
def box() -> Iterator[Box]:
    made = Box()
    yield made
    pid = made.pid if "views" in made.table.helpers else 0
    made.helpers.forget("views")
    if pid:
        os.waitpid(pid, 0)
    for fd in (*made.table.held.values(), made.reports, made.tell):
        os.close(fd)


def test_it_has_its_descriptors_and_comes_again(box: Box) -> None:
    box.set("first")
    assert box.report() == f"{box.pid} first"
    os.write(box.tell, b"hello\n")
    assert box.report() == "hello"
    before = box.pid
    os.kill(before, signal.SIGKILL)
    box.reap()
    assert box.pid != before and box.report() == f"{box.pid} first"


def test_the_next_version_begins_when_the_last_one_is_gone(box: Box) -> None:
    box.set("first")
    assert box.report() == f"{box.pid} first"
    before = box.pid
    box.set("second")
    assert box.pid == before
    box.reap()
    assert box.report() == f"{box.pid} second"


def test_one_that_keeps_dying_waits_longer_and_longer(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "time", SimpleNamespace(monotonic=lambda: 100.0))  # it dies young on a busy host, too
    box.helpers.set("views", {"arg": ["/bin/true"], "fd": []})
    waits = []
    for _ in range(4):
        await_end(box.pid)
        box.helpers.reap(box.pid)
        waits.append(box.helpers.due() - 100.0)
        box.helpers.start_due(float("1e18"))
    assert waits[0] == 0 < waits[2] < waits[3]


def test_one_that_cannot_start_is_tried_again(box: Box) -> None:
    box.helpers.set("views", {"arg": ["/nonexistent/program"], "fd": []})
    assert box.pid == 0 and box.helpers.due() < float("inf")
    box.helpers.set("views", {"arg": ["/bin/true"], "fd": ["never held"]})
    assert box.pid == 0


def test_a_helper_that_is_forgotten_ends(box: Box) -> None:
    box.set("first")
    pid = box.pid
    box.helpers.forget("views")
    assert box.table.helpers == {}
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert not box.helpers.reap(pid)


def test_it_goes_through_an_upgrade(box: Box) -> None:
    box.set("first")
    box.report()
    fd = Handover(10, 11, box.table, None).save()
    copy = Handover.load(fd).table
    os.close(fd)
    assert copy.plain() == box.table.plain()
    assert (copy.helpers["views"].pid, copy.helpers["views"].held) == (box.pid, ["said", "heard"])
    assert Helpers(copy, {}).due() == float("inf"), "it runs: nothing is to be started"


def test_what_an_old_keeper_hands_over_has_none() -> None:
    assert Table.from_plain({"children": [], "held": {}}).helpers == {}


@pytest.mark.parametrize("count", [0, 1, 5])
def test_descriptors_are_in_order_wherever_they_were(count: int) -> None:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    places = [os.memfd_create(f"number{at}") for at in range(count)]
    lists = f"for n in $(seq 3 {2 + count}); do readlink /proc/self/fd/$n; done >&{3 + count}"
    pid = helper.spawn(["/bin/sh", "-c", lists], [*reversed(places), writer], {})
    os.close(writer)
    assert os.waitpid(pid, 0)[1] == 0
    said = os.read(reader, 4096).decode().split()
    wanted = [f"/memfd:number{at}" for at in reversed(range(count))]
    assert [word for word in said if word.startswith("/memfd")] == wanted
    for fd in (reader, *places):
        os.close(fd)
