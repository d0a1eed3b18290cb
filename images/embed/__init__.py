"""Make a program of Python modules: one static executable that reads no file and needs no library at its start.

The interpreter is that of the machine, from the archive that its development package brings; the modules are
byte code in the program.  Only what a `Program` names is in it.
"""

import os
import subprocess
import sysconfig
from dataclasses import dataclass

from images.embed.bytecode import compiled
from images.errors import BuildError

HERE = os.path.dirname(os.path.abspath(__file__))
FLAGS = ("-O2", "-g0", "-fno-pie", "-no-pie", "-static", "-Wall", "-Wl,-s", "-Wl,--gc-sections", "-Wl,--build-id=none")
# What the interpreter cannot do without, in a way of its own or like any other C module.
INIT = {"builtins": "NULL", "sys": "NULL", "marshal": "PyMarshal_Init", "_warnings": "_PyWarnings_Init"}
CORE = (*INIT, "_codecs", "_imp", "_signal", "posix")


@dataclass(frozen=True)
class Program:
    """What goes into an executable.

    *programs*: the module that runs, by the first argument that asks for it; "" is the one that runs otherwise.
    *modules*: source texts by module name, a package's name ending in a dot.  *c_modules*: what they import of
    libpython.  *shims*: sources of more C modules, by name.
    """

    programs: dict[str, str]
    modules: dict[str, str]
    c_modules: tuple[str, ...]
    shims: dict[str, str]
    positions: bool  # line numbers for tracebacks


def build(program: Program, target: str, scratch: str) -> None:
    """Write the executable *target*.  Raises BuildError with one line that says what is missing, or OSError."""
    with open(f"{scratch}/tables.h", "w", encoding="ascii") as file:
        file.writelines(tables(program))
    include = [f"-I{scratch}", f"-I{sysconfig.get_path('include')}"]
    sources = [f"{HERE}/main.c", *program.shims.values()]
    compiler = os.environ.get("CC", "cc").split()
    command = [*compiler, *FLAGS, *include, *sources, archive(), "-lm", "-o", target]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BuildError(f"{compiler[0]} is missing: apt-get install gcc libc6-dev") from None
    if done.returncode:
        lines = done.stderr.splitlines()
        told = [line for line in lines if "error" in line or "undefined" in line or "cannot find" in line]
        raise BuildError(f"{os.path.basename(target)}: {(told or lines)[0]}")


def archive() -> str:
    """The interpreter as a static library."""
    directory, name = (str(sysconfig.get_config_var(one)) for one in ("LIBPL", "LIBRARY"))
    path = f"{directory}/{name}"
    if not os.path.exists(path):
        raise BuildError(f"{path} is missing: apt-get install libpython{sysconfig.get_python_version()}-dev")
    return path


def tables(program: Program) -> list[str]:
    """The text of tables.h."""
    names = sorted({*CORE, *program.c_modules, *program.shims})
    builtins = {name: INIT.get(name, f"PyInit_{name.rpartition('.')[2]}") for name in names}
    functions = sorted({*builtins.values()} - {"NULL"})
    return [
        *(f"extern PyObject *{function}(void);\n" for function in functions),
        "#define BUILTINS " + "".join(f'{{"{name}", {init}}}, ' for name, init in builtins.items()) + "\n",
        *frozen("importers", {"_frozen_importlib": read(f"{HERE}/start/importlib.py")}, positions=False),
        *frozen("modules", start() | program.modules, positions=program.positions),
        "static const struct { const char *argument, *module; } programs[] = {\n",
        *(f'    {{"{argument}", "{module}"}},\n' for argument, module in program.programs.items()),
        "};\n",
    ]


def start() -> dict[str, str]:
    """What the interpreter imports by itself."""
    return {"encodings.": read(f"{HERE}/start/encodings.py"), "encodings.utf_8": "", "io": read(f"{HERE}/start/io.py")}


def frozen(table: str, modules: dict[str, str], *, positions: bool) -> list[str]:
    """An array of `struct _frozen` named *table*."""
    codes, rows = [], []
    for at, (name, text) in enumerate(modules.items()):
        code = compiled(text, f"{name.rstrip('.').replace('.', '/')}.py", positions=positions)
        codes.append(f"static const unsigned char {table}_{at}[] = {{{','.join(map(str, code))}}};\n")
        rows.append(
            f'    {{.name = "{name.rstrip(".")}", .code = {table}_{at}, .size = sizeof {table}_{at},'
            f" .is_package = {int(name.endswith('.'))}}},\n"
        )
    return [*codes, f"static const struct _frozen {table}[] = {{\n", *rows, "    {0},\n};\n"]


def read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()
