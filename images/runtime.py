"""python -m images.runtime OUTDIR: what PID 1 of every container runs on.

One static executable with interpreter and modules (`images.embed`), to be mounted read-only at /.vz of images with
any libc or none.  The result is `OUTDIR/HASH/`, named by its content, and the link `OUTDIR/current`; nothing is
written when that content is there already.
"""

import hashlib
import os
import sys
import tempfile

from images import embed
from images.errors import told
from vzinit import _sys_build

MOUNT_POINT = "/.vz"
VZINIT = os.path.dirname(os.path.abspath(_sys_build.__file__))
NOT_MODULES = {"__init__.py", "__main__.py", "_sys_build.py"}
C_MODULES = ("_socket", "errno", "fcntl", "gc", "marshal", "select", "time")
# PID 1; a program for guests; a door for tests and for who wants to look around.
PROGRAMS = {"": "__main__", "telinit": "vzinit.telinit", "python": "vzinit.python"}
TELINIT = f"#!{MOUNT_POINT}/bin/vzinit telinit\n"


def main(arguments: list[str]) -> int:
    """Entry point: build (or find) the runtime, print its path."""
    if len(arguments) != 1:
        print("usage: python -m images.runtime OUTDIR", file=sys.stderr)
        return 2
    return told("runtime", lambda: print(build(os.path.abspath(arguments[0]))))


def build(outdir: str) -> str:
    """Make the runtime below *outdir* and answer its path.

    Raises BuildError or OSError; leaves nothing half done.
    """
    os.makedirs(outdir, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=outdir) as scratch:
        tree = f"{scratch}/runtime"
        compose(tree, scratch)
        final = f"{outdir}/{digest(tree)}"
        if not os.path.isdir(final):
            os.chmod(tree, 0o755)
            os.rename(tree, final)
        point_to(outdir, final)
    return final


def point_to(outdir: str, final: str) -> None:
    """Let `OUTDIR/current` name *final*, in one step."""
    link = f"{outdir}/.current-{os.getpid()}"
    os.symlink(os.path.basename(final), link)
    os.replace(link, f"{outdir}/current")


def compose(tree: str, scratch: str) -> None:
    """All files of the runtime."""
    os.makedirs(f"{tree}/bin")
    embed.build(program(), f"{tree}/bin/vzinit", scratch)
    with open(f"{tree}/bin/telinit", "w", encoding="ascii") as file:
        file.write(TELINIT)
    os.chmod(f"{tree}/bin/telinit", 0o755)


def program() -> embed.Program:
    """PID 1 with everything it may import, also late: what is in the program cannot be unmounted."""
    names = sorted(name for name in os.listdir(VZINIT) if name.endswith(".py") and name not in NOT_MODULES)
    modules = {f"vzinit.{name[:-3]}": embed.read(f"{VZINIT}/{name}") for name in names}
    modules["__main__"] = embed.read(f"{VZINIT}/__main__.py")
    modules["vzinit."] = ""
    return embed.Program(PROGRAMS, modules, C_MODULES, {"vzinit._sys": _sys_build.SOURCE}, positions=False)


def digest(tree: str) -> str:
    """A name made of every path and content below *tree*."""
    total = hashlib.sha256()
    for directory, _, names in sorted(os.walk(tree)):
        for name in sorted(names):
            path = os.path.join(directory, name)
            with open(path, "rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            total.update(f"{os.path.relpath(path, tree)} {content}\n".encode())
    return total.hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
