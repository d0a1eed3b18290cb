"""How long a text serves, by a clock that the test sets."""

import time
from types import SimpleNamespace
from typing import cast

import pytest

from hostd.proc.caller import Cgroups, Group
from hostd.proc.files import Files


class Machine(Files):
    """One in which a text takes *takes* seconds to make, of which *works* are the server's own."""

    def __init__(self) -> None:
        super().__init__(cast(Cgroups, SimpleNamespace(of=lambda pid: SimpleNamespace(number=str(pid)))))
        self.now, self.worked = 1000.0, 5.0
        self.takes = self.works = 0.0001
        self.made = 0

    def _meminfo(self, group: Group) -> bytes:
        self.now += self.takes
        self.worked += self.works
        self.made += 1
        return b"%d" % self.made

    def read_for(self, seconds: float, *, every: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.text("meminfo", 101)
            self.now += every


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(time, "monotonic", lambda: machine.now)
    monkeypatch.setattr(time, "process_time", lambda: machine.worked)
    return machine


def test_a_text_serves_for_a_hundredth_of_a_second(machine: Machine) -> None:
    assert [machine.text("meminfo", 101), machine.text("meminfo", 101)] == [b"1", b"1"]
    assert machine.text("meminfo", 102) == b"2", "each has its own"
    machine.now += 0.0101
    assert machine.text("meminfo", 101) == b"3"


def test_a_dear_one_takes_no_more_than_a_tenth_of_the_time(machine: Machine) -> None:
    machine.takes = machine.works = 0.05
    machine.read_for(20, every=0.001)
    assert 1.6 < machine.made * machine.takes < 2, "seconds of twenty"


def test_on_a_busy_machine_none_is_dear_that_was_not(machine: Machine) -> None:
    machine.takes = 0.5
    machine.text("meminfo", 101)
    machine.now += 0.0101
    assert machine.text("meminfo", 101) == b"2"
