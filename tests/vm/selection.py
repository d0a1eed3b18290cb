"""Which tests a machine runs: pytest's arguments, divided into shards of about the same time."""

import glob
import os
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass

from tests.harness.installation import CHECKOUT

# About no kernel: templates as they were built.  Asked for by name it runs like any other.
LEFT_OUT = ("tests/root/test_image_debian.py",)
# Seconds for each test function of a file that was not measured yet: a system test starts a daemon of its own.
GUESS = {"tests/root": 1.5, "tests/system": 7.0}


@dataclass(frozen=True)
class Selection:
    """*paths*: files and node ids below the checkout.  *options*: everything else, as pytest takes it."""

    paths: tuple[str, ...]
    options: tuple[str, ...]


def selection(arguments: list[str], default: tuple[str, ...]) -> Selection:
    """From the words of PYTEST_ARGS; without a path: those of *default*."""
    named = [word for word in arguments if os.path.exists(f"{CHECKOUT}/{word.partition('::')[0]}")]
    options = tuple(word for word in arguments if word not in named)
    files = [file for word in named or default for file in _files(word)]
    return Selection(tuple(file for file in files if file in named or file not in LEFT_OUT), options)


def _files(word: str) -> list[str]:
    if not os.path.isdir(f"{CHECKOUT}/{word}"):
        return [word]
    return sorted(glob.glob(f"{word.rstrip('/')}/**/test_*.py", root_dir=CHECKOUT, recursive=True))


def shards(chosen: Selection, count: int, seconds: dict[str, float]) -> list[Selection]:
    """At most *count* selections: the longest files first, each to the shard that has least so far."""
    costs = {path: seconds.get(path) or guess(path) for path in chosen.paths}
    parts: list[list[str]] = [[] for _ in range(count)]
    for path in sorted(costs, key=lambda path: -costs[path]):
        min(parts, key=lambda part: sum(costs[one] for one in part)).append(path)
    return [Selection(tuple(part), chosen.options) for part in parts if part]


def guess(path: str) -> float:
    """Seconds of a file or node that was never measured."""
    each = GUESS.get(os.path.dirname(path.partition("::")[0]), 1.0)
    if "::" in path:
        return each
    with open(f"{CHECKOUT}/{path}", encoding="utf-8") as file:
        return each * file.read().count("\ndef test_")


def measured(records: list[str]) -> dict[str, float]:
    """Seconds by test file, from junit files of earlier runs."""
    total: Counter[str] = Counter()
    for record in records:
        for case in ElementTree.parse(record).iter("testcase"):
            words = case.get("classname", "").split(".")
            while words and not words[-1].startswith("test_"):
                words.pop()  # a class in the file
            total["/".join(words) + ".py"] += float(case.get("time", "0"))  # type: ignore[assignment]
    return dict(total)
