"""What the two of `barrier:limit` mean to a container.  Pure; ValueError(text for the user) as in `values`."""

from collections.abc import Callable

from hostd.config.values import UNLIMITED, bar_limit, size_pages

NO_LIMIT = (UNLIMITED, 2**31 - 1)  # of pages and items: and that of a 32-bit kernel, in a file of its time


def barrier(text: str, unit: Callable[[str], int]) -> int | None:
    """Pages or items; None: it is no number of them."""
    found = bar_limit(text, unit)[0]
    return None if found in NO_LIMIT else found


def limit(text: str, unit: Callable[[str], int]) -> int | None:
    """Pages or items; None: there is no limit."""
    found = bar_limit(text, unit)[1]
    return None if found in NO_LIMIT else found


def is_vswap(physpages: str | None, swappages: str | None) -> bool:
    """RAM is limited and swap is there: what else a container may use follows from the two.  What is no number is none.
    """
    if not physpages or not swappages:
        return False
    try:
        return limit(physpages, size_pages) is not None
    except ValueError:
        return False


def some(text: str, unit: Callable[[str], int]) -> str:
    """*text*, if its limit leaves a container something to run with."""
    if bar_limit(text, unit)[1] == 0:
        raise ValueError("must be more than 0")
    return text
