"""How long a list of processes serves, by a clock that the test sets."""

import pytest

from hostd.proc import listings
from hostd.proc.listings import Listings
from tests.harness.effort import Effort


class Machine(Effort):
    """One in which making a list takes its time."""

    def __init__(self) -> None:
        super().__init__(0.001)
        self.listings = Listings()

    def make(self) -> set[int]:
        return {9000, 5000, self.make_one()}

    def begin(self, who: str = "101") -> list[int]:
        return self.listings.pids(who, self.make, begins=True)

    def go_on(self, who: str = "101") -> list[int]:
        return self.listings.pids(who, self.make, begins=False)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    machine.set_clocks(monkeypatch)
    return machine


def test_parts_of_one_listing_have_one_list(machine: Machine) -> None:
    assert machine.begin() == [1, 5000, 9000]
    machine.now += 0.9
    assert machine.go_on() == [1, 5000, 9000]
    machine.now += 0.2
    assert machine.go_on() == [2, 5000, 9000], "it has grown old"
    assert machine.go_on() == [2, 5000, 9000]


def test_a_listing_begins_with_what_is_new(machine: Machine) -> None:
    assert [machine.begin()[0] for _ in range(3)] == [1, 2, 3]


def test_a_dear_one_is_used_again(machine: Machine) -> None:
    machine.takes = machine.works = 0.05
    begun = machine.now
    while machine.now < begun + 100:
        machine.begin()
        machine.go_on()
        machine.now += 0.001
    assert 8 < machine.made * machine.takes < 10, "seconds of a hundred"
    machine.takes = machine.works = 0.3
    machine.now += 60
    assert machine.begin() == machine.go_on()
    machine.now += 2.5
    assert machine.begin() == machine.go_on() and machine.made == machine.begin()[0], "older than a part may be"
    before = machine.made
    machine.now += 0.6
    machine.begin()
    assert machine.made == before + 1


def test_on_a_busy_machine_none_is_dear_that_was_not(machine: Machine) -> None:
    machine.takes = 0.5
    assert machine.begin() != machine.begin()


def test_containers_have_lists_of_their_own(machine: Machine) -> None:
    machine.begin("101")
    machine.begin("102")
    assert machine.go_on("101") == [1, 5000, 9000] and machine.go_on("102") == [2, 5000, 9000]


def test_few_are_remembered(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was asked for longest ago is forgotten."""
    monkeypatch.setattr(listings, "_MOST", 2)
    machine.begin("101")
    machine.begin("102")
    machine.go_on("101")
    machine.begin("103")
    assert len(machine.listings._kept) == 2 and machine.go_on("101") == [1, 5000, 9000]
