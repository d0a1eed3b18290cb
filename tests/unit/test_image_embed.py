"""A program of Python modules: what is in it, and what is said when it cannot be built."""

import os
import signal
import subprocess
import sysconfig

import pytest

from images import embed
from images.errors import BuildError

MAIN = """
import sys
def greet(name: "Name" = "") -> None: print("hello", name, *sys.argv[1:])
class Name: count: int = 0
TYPE_CHECKING = False
if TYPE_CHECKING:
    import nothing
else:
    import mine.part
greet(mine.part.NAME)
"""


def program(main: str = MAIN, c_modules: tuple[str, ...] = ()) -> embed.Program:
    modules = {"__main__": main, "mine.": "", "mine.part": "NAME = 'ä'", "other": "print(__name__)"}
    return embed.Program({"": "__main__", "other": "other"}, modules, c_modules, {}, positions=True)


def built(tmp_path: object, one: embed.Program) -> str:
    target = f"{tmp_path}/program"
    embed.build(one, target, str(tmp_path))
    return target


def run(target: str, *argv: bytes | str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([target, *argv], env={}, capture_output=True, check=False)


def test_programs_and_arguments(tmp_path: object) -> None:
    """Arguments survive whatever bytes they are; the environment of the machine's Python says nothing here."""
    target = built(tmp_path, program())
    assert run(target, b"\xff", "b").stdout == "hello ä ".encode() + b"\xff b\n"
    assert run(target, "other").stdout == b"other\n"
    os.unlink(f"{tmp_path}/tables.h")
    done = subprocess.run([target], env={"PYTHONPATH": "/x", "PYTHONINSPECT": "1", "PYTHONHOME": "/x"},
                          capture_output=True, stdin=subprocess.DEVNULL, check=False)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello ä\n".encode(), b"")


def test_how_it_ends(tmp_path: object) -> None:
    main = "import sys\nif sys.argv[1:]: raise [SystemExit, KeyboardInterrupt][len(sys.argv) - 2](7)\n\nprint(missing)"
    target = built(tmp_path, program(main))
    assert run(target, "leave").returncode == 7
    interrupted = run(target, "be", "interrupted")
    assert (interrupted.returncode, interrupted.stderr) == (-signal.SIGINT, b"")
    done = run(target)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        "Traceback (most recent call last):",
        '  File "<vz>/__main__.py", line 4, in <module>',
        "NameError: name 'missing' is not defined",
    ]


IMPORTS = """
import sys
def tell(statement):
    try: exec(statement)
    except Exception as error: print(f"{type(error).__name__}: {error}")
    else: print("fine")
for statement in sys.argv[1:]: tell(statement)
print("broken" in sys.modules, "mine.half" in sys.modules)
"""


def test_imports(tmp_path: object) -> None:
    """What is in the program is found, packages and circles included; a module that fails leaves nothing."""
    modules = {
        "__main__": IMPORTS, "mine.": "", "mine.one": "from mine import two\nNAME = two.NAME",
        "mine.two": "NAME = 'x'\nfrom mine import one", "mine.half": "import os", "broken": "1 / 0",
    }  # fmt: skip
    target = built(tmp_path, embed.Program({"": "__main__"}, modules, (), {}, positions=True))
    done = run(target, "import mine.one; mine.two.NAME", "from mine.one import NAME", "import broken", "import os",
               "from mine import three", "import mine.three", "from mine import half", "import sys.path")  # fmt: skip
    assert done.stdout.decode().splitlines() == [
        "fine",
        "fine",
        "ZeroDivisionError: division by zero",
        "ModuleNotFoundError: No module named 'os'",
        "ImportError: cannot import name 'three' from 'mine' (unknown location)",
        "ModuleNotFoundError: No module named 'mine.three'",
        "ModuleNotFoundError: No module named 'os'",
        "ModuleNotFoundError: No module named 'sys.path'",
        "False False",
    ]


def test_what_is_missing_is_said(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BuildError, match=r"^program: .*undefined reference to `PyInit__nothing'$"):
        built(tmp_path, program(c_modules=("_nothing",)))
    monkeypatch.setenv("CC", "no-compiler -m32")
    with pytest.raises(BuildError, match=r"^no-compiler is missing: apt-get install gcc libc6-dev$"):
        built(tmp_path, program())
    monkeypatch.setattr(sysconfig, "get_config_var", {"LIBPL": "/nowhere", "LIBRARY": "libpython3.99.a"}.get)
    with pytest.raises(BuildError, match=r"^/nowhere/libpython3.99.a is missing: apt-get install libpython3\.\d+-dev$"):
        built(tmp_path, program())
