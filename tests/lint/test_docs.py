"""What the documents say of the tests: that they are there."""

import ast
import glob
import os
import re
from functools import cache

import pytest

from tests.harness.installation import CHECKOUT

_NAMED = re.compile(r"((?:[a-z_]+/)*test_\w+\.py)(?:::(test_\w+))?")


@cache
def functions(path: str) -> frozenset[str]:
    with open(f"{CHECKOUT}/tests/{path}", encoding="utf-8") as file:
        tree = ast.parse(file.read())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def named() -> list[tuple[str, str, str]]:
    """(document, path below tests/, name of a test or "")."""
    found = []
    for document in sorted(glob.glob(f"{CHECKOUT}/docs/**/*.md", recursive=True)):
        with open(document, encoding="utf-8") as file:
            for path, test in _NAMED.findall(file.read()):
                found.append((os.path.relpath(document, CHECKOUT), path.removeprefix("tests/"), test))
    return list(dict.fromkeys(found))


def test_they_name_some() -> None:
    assert len(named()) > 10


@pytest.mark.parametrize(("document", "path", "test"), named(), ids=lambda text: text)
def test_it_is_there(document: str, path: str, test: str) -> None:
    pattern = path if "/" in path else f"*/{path}"
    places = [os.path.relpath(one, f"{CHECKOUT}/tests") for one in glob.glob(f"{CHECKOUT}/tests/{pattern}")]
    assert places, f"{document}: no {path}"
    found = frozenset[str]().union(*map(functions, places))
    if test.endswith("_"):  # written test_37_*
        assert any(name.startswith(test) for name in found), f"{document}: no {path}::{test}*"
    else:
        assert not test or test in found, f"{document}: no {path}::{test}"
