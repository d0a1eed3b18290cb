"""QEMU, new enough: the system's, else Debian 13's, unpacked beside the system and run through its own loader.

Older ones crash guests at random under load (ADR 009).
"""

import glob
import os
import re
import shutil
import subprocess
from dataclasses import dataclass

from images import aptroot
from images.aptroot import AptRoot, loader_of
from images.errors import BuildError
from images.sources import of_this_machine
from tests.vm import cache
from tests.vm.cache import Tell
from tests.vm.machines import Arch

MINIMUM = 10  # major version
SUITE = "trixie"
FIRMWARE = ("usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu")


@dataclass(frozen=True)
class Tools:
    """QEMU for one processor and depmod; *tree* is where they were unpacked, "" for the system's own."""

    tree: str

    def argv(self, program: str, *arguments: str) -> list[str]:
        """The command line that runs *program* of the tools."""
        if not self.tree:
            return [program, *arguments]
        folders = ":".join(glob.glob(f"{self.tree}/usr/lib/*-linux-*"))
        found = self._find(program)
        loader = glob.glob(f"{self.tree}/usr/lib*/**/{loader_of(found)}", recursive=True)
        return [loader[0], "--argv0", program, "--library-path", folders, found, *arguments]

    def qemu(self, arch: Arch, *arguments: str) -> list[str]:
        """The command line of the emulator of *arch*."""
        firmware = [word for place in FIRMWARE if self.tree for word in ("-L", f"{self.tree}/{place}")]
        return [*self.argv(arch.qemu, *firmware), *arguments]

    def environment(self) -> dict[str, str]:
        """What the emulator needs to find its own modules."""
        modules = glob.glob(f"{self.tree}/usr/lib/*-linux-*/qemu") if self.tree else []
        return {"QEMU_MODULE_DIR": modules[0]} if modules else {}

    def _find(self, program: str) -> str:
        for place in ("usr/bin", "usr/sbin"):
            if os.path.exists(path := f"{self.tree}/{place}/{program}"):
                return os.path.realpath(path)
        raise BuildError(f"the packages came without {program}")


def tools(arch: Arch, place: str, tell: Tell) -> Tools:
    """The tools for *arch*, fetched into the cache *place* where the system's are missing or too old."""
    if _version(arch.qemu) >= MINIMUM and shutil.which("depmod"):
        return Tools("")

    def make(path: str) -> None:
        root = AptRoot(f"{place}/apt/qemu-{arch.debian}", SUITE, of_this_machine().archive)
        root.prepare()
        root.run("apt-get", "update")
        root.run("apt-get", "autoclean")
        root.run("apt-get", "install", "--download-only", "--yes", "--no-install-recommends", arch.package, "kmod")
        aptroot.unpack(sorted(glob.glob(f"{root.directory}/archives/*.deb")), path)

    recipe = cache.digest(__file__, aptroot.__file__, arch)
    return Tools(cache.keep(place, f"qemu-{arch.debian}", recipe, make, tell))


def _version(program: str) -> int:
    """Major version of the system's emulator; 0: none."""
    if not shutil.which(program):
        return 0
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"version (\d+)", said)
    return int(match[1]) if match else 0
