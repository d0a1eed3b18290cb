"""A stock kernel out of its package: the image, its modules as a disk, and the few that an initrd needs.

The result is a directory: `vmlinuz`, `modules.img`, `version`, `boot/` (busybox, *.ko, `order`).
"""

import glob
import os
import re
import shutil

from images import aptroot
from images.aptroot import AptRoot
from images.errors import BuildError
from images.sources import of_this_machine
from tests.vm import cache, ext4
from tests.vm.cache import Tell
from tests.vm.machines import Machine
from tests.vm.qemu import Tools

FOR_BOOT = ("virtio_pci", "virtio_mmio", "virtio_blk", "virtio_console", "virtio_net", "ext4")
NOT_HERE = (
    "drivers/gpu", "drivers/media", "drivers/net/ethernet", "drivers/net/wireless", "drivers/infiniband", "sound",
)  # fmt: skip


def kernel(machine: Machine, tools: Tools, place: str, tell: Tell) -> str:
    """The directory with the kernel of *machine*, in the cache *place*."""

    def make(path: str) -> None:
        os.makedirs(f"{path}/boot")
        tree = f"{path}/tree"
        aptroot.unpack(_download(machine, place, f"{path}/debs"), tree)
        version = os.path.basename(_one(f"{tree}/boot/vmlinuz-*")).removeprefix("vmlinuz-")
        with open(f"{path}/version", "w", encoding="ascii") as file:
            file.write(version)
        shutil.copy(_one(f"{tree}/boot/vmlinuz-*"), f"{path}/vmlinuz")
        shutil.copy(_one(f"{tree}/bin/busybox", f"{tree}/usr/bin/busybox"), f"{path}/boot/busybox")
        _modules(tree, version, tools, path)
        shutil.rmtree(f"{path}/debs")
        shutil.rmtree(tree)

    recipe = cache.digest(__file__, aptroot.__file__, ext4.__file__, machine.recipe)
    return cache.keep(place, f"kernel-{machine.name}", recipe, make, tell)


def _download(machine: Machine, place: str, into: str) -> list[str]:
    """The packages of the newest kernel that the suite has (the name asked for depends on it), and busybox."""
    arch = machine.arch.debian
    root = AptRoot(f"{place}/apt/{machine.suite}-{arch}", machine.suite, of_this_machine().archive, arch)
    root.prepare()
    root.run("apt-get", "update")
    named = re.search(r"^Depends:.*?\b(linux-image-\d[^ ,]*)", root.run("apt-cache", "show", machine.kernel), re.M)
    if named is None:
        raise BuildError(f"{machine.kernel} of {machine.suite} names no kernel")
    os.makedirs(into)
    root.run("apt-get", "download", named[1], "busybox-static", cwd=into)
    return glob.glob(f"{into}/*.deb")


def _modules(tree: str, version: str, tools: Tools, path: str) -> None:
    """modules.img, and in boot/ what is needed to reach it.  Unpacked here: xz is slow in an emulator."""
    modules = _one(f"{tree}/lib/modules/{version}", f"{tree}/usr/lib/modules/{version}")
    for name in NOT_HERE:
        shutil.rmtree(f"{modules}/kernel/{name}", ignore_errors=True)
    if packed := glob.glob(f"{modules}/**/*.ko.xz", recursive=True):
        cache.run("xz", "--decompress", "--threads=0", *packed)
    base = modules.removesuffix(f"/lib/modules/{version}")
    cache.run(*tools.argv("depmod", "--basedir", base, version))
    order = load_order(f"{modules}/modules.dep")
    for name in order:
        shutil.copy(f"{modules}/{name}", f"{path}/boot/")
    with open(f"{path}/boot/order", "w", encoding="ascii") as file:
        file.writelines(f"{os.path.basename(name)}\n" for name in order)
    ext4.make(f"{path}/modules.img", modules, spare_mib=0)


def load_order(modules_dep: str) -> list[str]:
    """Paths of FOR_BOOT and of all that they need, dependencies first; what is built in is not listed there."""
    with open(modules_dep, encoding="ascii") as file:
        needs = {name: rest.split() for name, _, rest in (line.partition(":") for line in file)}
    order: list[str] = []
    for wanted in FOR_BOOT:
        for name in needs:
            if os.path.basename(name) == f"{wanted}.ko":
                order += [one for one in [*reversed(needs[name]), name] if one not in order]
    return order


def _one(*patterns: str) -> str:
    """The first path that one of *patterns* finds."""
    for pattern in patterns:
        if found := sorted(glob.glob(pattern)):
            return found[-1]
    raise BuildError(f"the packages came without {patterns[0]}")
