"""The child of spawn() shares the memory of a running daemon: its code may call nothing outside of itself."""

import re
import subprocess
from pathlib import Path

import pytest

from hostd.kernel import _build

CHILD_FUNCTIONS = re.compile(r"^[0-9a-f]+ <(child|fail|hold|fetch_socket|nothing|raw_exit)[.\w]*>:")


@pytest.mark.parametrize("source", ["spawn.c", "holder.c"])
def test_the_child_calls_no_library(source: str, tmp_path: Path) -> None:
    made = tmp_path / "child.o"
    path = str(_build.HERE / source)
    subprocess.run(["gcc", *_build.COMPILE, "-fPIC", "-c", "-o", str(made), path], check=True)
    command = ["objdump", "-dr", str(made)]
    listing = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    functions, calls = set(), []
    inside = False
    for line in listing.splitlines():
        if line.endswith(">:"):
            found = CHILD_FUNCTIONS.match(line)
            inside = found is not None
            functions |= {found[1]} if found else set()
        elif inside and re.search(r"R_\w+\s+(?!\.)", line):  # a symbol that another file would give
            calls.append(line.split()[-1])
    assert functions, "no child in there: the names above are out of date"
    assert calls == []
