"""The size of things: files one can hold in the head, functions that fit a screen."""

import ast
import glob
import os
import statistics

import pytest

from tests.harness.installation import CHECKOUT

FILE_LINES = 300
SCREEN = 60  # lines of a function, docstring included
MEDIAN = 8


def sources(kind: str) -> list[str]:
    """The paths of all files *.kind, below the checkout."""
    folders = ("hostd", "vzinit", "images", "tests")
    found = (path for folder in folders for path in glob.glob(f"{CHECKOUT}/{folder}/**/*.{kind}", recursive=True))
    return sorted(os.path.relpath(path, CHECKOUT) for path in found)


PYTHON, C = sources("py"), [*sources("c"), *sources("h")]


def functions(path: str) -> list[tuple[str, int]]:
    """(name, lines without the docstring) of every function in *path*."""
    with open(f"{CHECKOUT}/{path}", encoding="utf-8") as file:
        tree = ast.parse(file.read())
    return [
        (node.name, (node.end_lineno or node.lineno) - node.lineno + 1 - docstring_lines(node))
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        return (first.end_lineno or first.lineno) - first.lineno + 1
    return 0


@pytest.mark.parametrize("path", [*PYTHON, *C])
def test_file(path: str) -> None:
    with open(f"{CHECKOUT}/{path}", encoding="utf-8") as file:
        lines = len(file.readlines())
    assert lines <= FILE_LINES, f"{lines} lines: split it by idea"


@pytest.mark.parametrize("path", PYTHON)
def test_functions(path: str) -> None:
    assert [(name, size) for name, size in functions(path) if size > SCREEN] == []


def test_most_functions_are_small() -> None:
    sizes = [size for path in PYTHON if not path.startswith("tests/") for _, size in functions(path)]
    assert statistics.median(sizes) <= MEDIAN
