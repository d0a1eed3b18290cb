"""A plugin of pytest: one machine's share of the tests.  --share=2/3 is the second of three."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--share", default="1/1", metavar="K/N", help="of N machines that divide the tests, the Kth")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """After -k and -m, so that what they leave is divided."""
    number, count = map(int, config.getoption("--share").split("/"))
    left_to_others = [item for index, item in enumerate(items) if turn(index, count) != number - 1]
    items[:] = [item for index, item in enumerate(items) if turn(index, count) == number - 1]
    config.hook.pytest_deselected(items=left_to_others)


def turn(index: int, count: int) -> int:
    """Whose the test at *index* is, of *count* machines: the sum of the index's digits in base *count*.

    The fair sharing sequence (Thue and Morse): cases of one test that follow each other, and every second or
    fourth of them, are divided evenly, whichever is the long one.  Needs no time of an earlier run.
    """
    total = 0
    while index and count > 1:
        index, digit = divmod(index, count)
        total += digit
    return total % count
