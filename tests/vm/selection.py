"""Which tests the machines run: pytest's arguments, and how many machines divide them."""

import os

from tests.harness.installation import CHECKOUT

# About no kernel: templates as they were built.  Asked for by name it runs like any other.
LEFT_OUT = ("--ignore=tests/root/test_image_debian.py",)
# They take as long as all others together.
NO_USERLAND = ("-m", "not userland")


def arguments(words: list[str], default: tuple[str, ...], *, everything: bool = False) -> list[str]:
    """*words* of PYTEST_ARGS; without a path among them: *default* as well, of which *everything* or what may differ
    between kernels.
    """
    if paths(words):
        return words
    return [*(() if everything else NO_USERLAND), *LEFT_OUT, *words, *default]


def shares(words: list[str], count: int, part: int = 1, parts: int = 1) -> list[str]:
    """The option of each of at most *count* machines: one test named by its node id needs no second one.

    Of *parts* runs that have all tests together, this is the one numbered *part*.
    """
    named = paths(words)
    if named and all("::" in word for word in named):
        count = min(count, len(named))
    return [f"--share={number}/{count * parts}" for number in range((part - 1) * count + 1, part * count + 1)]


def paths(words: list[str]) -> list[str]:
    """Those of *words* that are files, directories or node ids of the checkout."""
    return [word for word in words if os.path.exists(f"{CHECKOUT}/{word.partition('::')[0]}")]
