"""Clocks of a time namespace, as the kernel writes and reads them."""

import os

import pytest

from hostd.kernel.clocks import Clocks


@pytest.mark.parametrize(
    ("zero", "line"),
    [
        (0, "monotonic 0 0"),
        (3_000_000_000, "monotonic -3 0"),
        (3_250_000_000, "monotonic -4 750000000"),
        (-1, "monotonic 0 1"),
        (-7_000_000_005, "monotonic 7 5"),
    ],
)
def test_offsets_lead_back_to_zero(zero: int, line: str) -> None:
    """Nanoseconds of an offset are never negative, its seconds may be."""
    assert Clocks(zero, 0).offsets() == f"{line}\nboottime 0 0\n"


def test_of_the_host_s_own() -> None:
    assert Clocks.of(os.getpid()) is None


def test_of_nobody() -> None:
    with pytest.raises(FileNotFoundError):
        Clocks.of(1 << 30)
