"""A child of spawn() shares the memory of a running daemon: its code may call nothing outside of itself."""

import re
import subprocess
from pathlib import Path

from hostd.kernel import _build

HOLDERS = re.compile(r"^[0-9a-f]+ <(hold|fetch_socket|nothing|raw_exit)[.\w]*>:")


def compiled(source: str, directory: Path) -> str:
    made = str(directory / "child.o")
    path = str(_build.HERE / source)
    subprocess.run(["gcc", *_build.COMPILE, "-fPIC", "-c", "-o", made, path], check=True)
    return made


def said(*argv: str) -> list[str]:
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()


def test_child_c_needs_nothing_of_another_file(tmp_path: Path) -> None:
    made = compiled("child.c", tmp_path)
    assert [line.split()[-1] for line in said("nm", "-u", made)] == []
    assert {line.split()[-1] for line in said("nm", "-g", "--defined-only", made)} == {"vz_child", "vz_program"}


def test_the_children_of_holder_c_call_no_library(tmp_path: Path) -> None:
    functions, calls = set(), []
    inside = False
    for line in said("objdump", "-dr", compiled("holder.c", tmp_path)):
        if line.endswith(">:"):
            found = HOLDERS.match(line)
            inside = found is not None
            functions |= {found[1]} if found else set()
        elif inside and re.search(r"R_\w+\s+(?!\.)", line):  # a symbol that another file would give
            calls.append(line.split()[-1])
    assert functions, "no child in there: the names above are out of date"
    assert calls == []
