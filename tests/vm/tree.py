"""The working tree as a disk: a plain tar, as it is now, built with the guest's own Python.

Where this machine can run the guest's programs, `make build` has run in a chroot of its root image, and pytest has
collected once: both take a second there and a minute under an emulator.  Elsewhere the guest builds for itself.
"""

import os
import tarfile
import tempfile

from tests.harness.installation import CHECKOUT
from tests.vm import cache
from tests.vm.cache import Tell
from tests.vm.machines import Machine

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tree.sh")
SECTOR = 1 << 20
LEFT_OUT = {".git", "__pycache__", "build", "_shim.c", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"}
BROUGHT = ("build/criu", "build/criu.stamp")  # a program with its own loader and libraries: runs anywhere


def tree(machine: Machine, rootimage: str, place: str, tell: Tell) -> str:
    """The path of the tar, in the directory *place*; made again when a file of the tree is another."""
    with tempfile.TemporaryDirectory(prefix=".tree-", dir=place) as work:
        sources = f"{work}/sources.tar"
        pack(sources, brought=BROUGHT if machine.arch.native else ())
        recipe = cache.digest(SCRIPT, sources, rootimage.rpartition("-")[2])

        def make(path: str) -> None:
            if machine.arch.native:
                cache.run("unshare", "--mount", "--propagation", "slave", SCRIPT, rootimage, sources, path, work)
            else:
                os.rename(sources, path)
            os.truncate(path, (os.path.getsize(path) + SECTOR - 1) // SECTOR * SECTOR)

        return cache.keep(place, f"tree-{machine.name}", recipe, make, tell)


def pack(path: str, brought: tuple[str, ...]) -> None:
    """A tar of the working tree without what belongs to this machine, and of *brought* nevertheless."""

    def wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        name = os.path.basename(entry.name)
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return None if name in LEFT_OUT or name.endswith((".so", ".o")) else entry

    def everything(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        return entry

    with tarfile.open(path, "w") as archive:
        archive.add(CHECKOUT, ".", filter=wanted)
        for name in brought:
            archive.add(f"{CHECKOUT}/{name}", f"./{name}", filter=everything)
