"""Who may write how much into the log."""

import pytest

from vzinit import logs
from vzinit.rates import BURST, BYTES, INTERVAL, TOO_MUCH, Rates

ERROR, INFO = 3, 6


def test_so_many_messages_and_no_more() -> None:
    rates = Rates()
    assert [rates.take("a", INFO, 10, 1.0) for _ in range(BURST + 2)] == [0] * BURST + [TOO_MUCH] * 2
    assert rates.take("b", INFO, 10, 1.0) == 0, "each unit has a share"
    assert rates.take("a", INFO, 10, INTERVAL) == TOO_MUCH
    assert rates.take("a", INFO, 10, INTERVAL + 2.0) == 3, "what was left out is told in the next interval"
    assert rates.take("a", INFO, 10, INTERVAL + 2.0) == 0


def test_a_flood_does_not_hide_an_error() -> None:
    rates = Rates()
    for _ in range(BURST + 1):
        last = rates.take("a", INFO, 10, 1.0)
    assert (last, rates.take("a", ERROR, 10, 1.0)) == (TOO_MUCH, 0)


def test_few_large_messages_are_a_flood_as_well() -> None:
    rates = Rates()
    taken = [rates.take("a", INFO, 1 << 20, 1.0) for _ in range(BYTES // (1 << 20) + 1)]
    assert taken == [0] * (BYTES // (1 << 20)) + [TOO_MUCH]
    assert rates.take("b", INFO, BYTES + 1, 1.0) == 0, "one is always taken"


def test_units_that_are_silent_are_forgotten() -> None:
    rates = Rates()
    for number in range(1000):
        rates.take(f"unit@{number}", INFO, 10, number * INTERVAL)
    assert len(rates._shares) <= 256


@pytest.mark.parametrize(
    ("fields", "priority"), [([b"MESSAGE=x", b"PRIORITY=3"], 3), ([b"MESSAGE=x"], 6), ([b"PRIORITY=high"], 6)]
)
def test_the_priority_of_a_message(fields: list[bytes], priority: int) -> None:
    assert logs.priority_of(fields) == priority
