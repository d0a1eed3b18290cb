"""python -m images.client DIRECTORY: `vzctl`, `vzlist` and the other commands: one executable, several names.

Interpreter and modules are in it (`images.embed`); it knows no path and finds `hostd` beside itself.
"""

import os
import shutil
import sys
import tempfile

from hostd.cli import place
from images import embed
from images.errors import told

SOURCES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CLI = os.path.join(SOURCES, "hostd", "cli")
NOT_MODULES = {"__init__.py", "__main__.py", "stub.py"}
C_MODULES = ("_socket", "fcntl", "gc", "select")
NAMES = place.PROGRAMS


def main(arguments: list[str]) -> int:
    """Entry point: build the commands."""
    if len(arguments) != 1:
        print("usage: python -m images.client DIRECTORY", file=sys.stderr)
        return 2
    return told("client", lambda: build(os.path.abspath(arguments[0])))


def build(directory: str) -> None:
    """Put the commands into *directory*; a command that runs goes on.  Raises BuildError or OSError."""
    os.makedirs(directory, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        embed.build(program(), f"{scratch}/program", scratch)
        put(f"{scratch}/program", directory)


def put(source: str, directory: str) -> None:
    """The executable *source* under its names in *directory*; what stood there is replaced in one step."""
    new = f"{directory}/.client-{os.getpid()}"
    shutil.copy2(source, new)
    for name in NAMES:
        os.link(new, f"{new}-{name}")
        os.rename(f"{new}-{name}", f"{directory}/{name}")
    os.unlink(new)


def program() -> embed.Program:
    names = sorted(name for name in os.listdir(CLI) if name.endswith(".py") and name not in NOT_MODULES)
    modules = {f"hostd.cli.{name[:-3]}": embed.read(f"{CLI}/{name}") for name in names}
    modules |= {
        "__main__": embed.read(f"{CLI}/__main__.py"),
        "hostd.": "",
        "hostd.cli.": "",
        "vzinit.": "",
        "vzinit.protocol": embed.read(f"{SOURCES}/vzinit/protocol.py"),
    }
    return embed.Program({"": "__main__"}, modules, C_MODULES, {}, positions=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
