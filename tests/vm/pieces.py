"""Everything that a machine is made of, from the cache or built now."""

import os
import re
from dataclasses import dataclass

from tests.vm import cache, ext4
from tests.vm.cache import Tell
from tests.vm.kernel import kernel
from tests.vm.machines import MACHINES, Machine
from tests.vm.qemu import Tools, tools
from tests.vm.rootimage import rootimage

TCG = ("-accel", "tcg,thread=multi")


@dataclass(frozen=True)
class Pieces:
    """*kernel*: a directory (see kernel.py).  *root*: an image that is never written.  *acceleration*: for QEMU."""

    machine: Machine
    tools: Tools
    kernel: str
    root: str
    acceleration: tuple[str, ...] = TCG

    @property
    def emulated(self) -> bool:
        return self.acceleration == TCG

    def environment(self) -> dict[str, str]:
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"} | self.tools.environment()


def pieces(name: str, place: str, tell: Tell) -> Pieces:
    """The machine called *name*.  Raises BuildError."""
    machine = MACHINES[name]
    programs = tools(machine.arch, place, tell)
    return Pieces(machine, programs, kernel(machine, programs, place, tell), rootimage(machine, place, tell))


def templates(machine: Machine, images: str, place: str, tell: Tell) -> str:
    """A disk with the container templates of the folder *images*; "" when there are none.

    By their public names and by those of their recipes: the same file, which is there once.
    """
    wanted = re.compile(rf"[\w-]+-{machine.arch.kernel}(-[0-9a-f]{{12}})?\.tar\.zst")
    names = sorted(filter(wanted.fullmatch, os.listdir(images))) if os.path.isdir(images) else []
    if not names:
        return ""
    stamps = [(name, os.stat(f"{images}/{name}").st_size, os.stat(f"{images}/{name}").st_mtime_ns) for name in names]

    def make(path: str) -> None:
        folder = f"{os.path.dirname(path)}/folder"
        os.mkdir(folder)
        for name in names:
            os.link(f"{images}/{name}", f"{folder}/{name}")
        ext4.make(path, folder, spare_mib=0)

    return cache.keep(place, f"templates-{machine.arch.debian}", cache.digest(stamps), make, tell)
