"""The linters are tests: one command says whether a change can go in."""

import subprocess
import sys

import pytest

from tests.harness.installation import CHECKOUT

LINTERS = {
    "ruff": ["-m", "ruff", "check", "--quiet", "."],
    "mypy": ["-m", "mypy"],
    "layers": ["-c", "from importlinter.cli import lint_imports_command as run; run()"],
}


@pytest.mark.parametrize("name", LINTERS)
def test_linter_is_content(name: str) -> None:
    done = subprocess.run(
        [sys.executable, *LINTERS[name]], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
