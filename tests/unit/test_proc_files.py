"""How long a text serves, by a clock that the test sets."""

from types import SimpleNamespace
from typing import cast

import pytest

from hostd.proc.caller import Cgroups, Group
from hostd.proc.files import Files
from tests.harness.effort import Effort


class Machine(Files, Effort):
    """One in which making a text takes its time."""

    def __init__(self) -> None:
        Files.__init__(self, cast(Cgroups, SimpleNamespace(of=lambda pid: SimpleNamespace(number=str(pid)))))
        Effort.__init__(self, 0.0001)

    def _meminfo(self, group: Group) -> bytes:
        return b"%d" % self.make_one()

    _vmstat = _stat = _meminfo

    def read_for(self, seconds: float, *, every: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.text("meminfo", 101)
            self.now += every


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    machine.set_clocks(monkeypatch)
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


def test_nor_do_several(machine: Machine) -> None:
    """Of one container; and in a rest only what was made in it serves."""
    machine.takes = machine.works = 0.05
    machine.text("vmstat", 101)
    machine.now += 100
    until = machine.now + 20
    while machine.now < until:
        for name in ("meminfo", "vmstat", "stat"):
            machine.text(name, 101)
            machine.now += 0.001
    assert 1.6 < (machine.made - 1) * machine.takes < 2.1, "seconds of twenty"
    machine.now += 5
    first = machine.text("meminfo", 101)
    assert machine.text("stat", 101) != first != machine.text("vmstat", 101)
    assert machine.text("meminfo", 101) == first


def test_on_a_busy_machine_none_is_dear_that_was_not(machine: Machine) -> None:
    machine.takes = 0.5
    machine.text("meminfo", 101)
    machine.now += 0.0101
    assert machine.text("meminfo", 101) == b"2"
