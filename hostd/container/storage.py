"""Which storage a configuration means: the layout by its name, and what the layout must know."""

import asyncio
import os
from contextlib import ExitStack, suppress

from hostd.config.model import CtConfig
from hostd.config.paths import Paths
from hostd.container import mounts
from hostd.container.record import Record
from hostd.errors import Exit, Failure
from hostd.image import template
from hostd.kernel.fd import Fd
from hostd.kernel.mount import mount_setattr, new_filesystem
from hostd.kernel.namespace import userns
from hostd.storage import loopdev
from hostd.storage.base import Layout, StorageSpec
from hostd.storage.overlay import Overlay
from hostd.storage.simfs import Simfs

LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (Overlay(), Simfs())}


def layout_named(name: str) -> Layout:
    """The layout *name*.  Raises Failure(53) that lists what there is."""
    layout = LAYOUTS.get(name)
    if layout is None:
        known = ", ".join(LAYOUTS)
        raise Failure(Exit.UNK_MOUNT_TYPE, f"unknown or unsupported layout {name!r}; there is: {known}")
    return layout


def storage_spec(paths: Paths, config: CtConfig) -> StorageSpec:
    """The storage of an existing container; its layout remembers which template lies below."""
    return StorageSpec(
        ctid=config.ctid,
        private=config.private,
        layout=config.layout,
        template_tree=layout_named(config.layout).template_of(paths, config.private),
        diskspace_kib=config.diskspace_kib[1] if config.diskspace_kib else None,
        diskinodes=config.diskinodes[1] if config.diskinodes else None,
    )


async def container_root(record: Record) -> Fd:
    """The tree at VE_ROOT as the container gets it.  OSError."""
    # Never on the event loop: a copy of a mount waits for the kernel's lock of all mount namespaces, which a guest with
    # many mounts can hold for a third of a second; and the child that makes a mapping, until no other is being spawned.
    return await asyncio.to_thread(_container_root, record)


def _container_root(record: Record) -> Fd:
    tree = mounts.root(record.root)
    try:
        if record.ids is not None and layout_named(record.layout).copies_can_be_mapped:
            with userns(record.ids.start, len(record.ids)) as ns:
                mount_setattr(tree, userns=ns)
    except BaseException:
        tree.close()
        raise
    return tree


def layers(record: Record, owned: ExitStack) -> tuple[Fd | None, Fd | None]:
    """The lower and the upper directory of a mounted overlay, as descriptors that *owned* closes."""
    device = record.storage.get("loop")
    if record.layout != Overlay.name or not device:
        return None, None
    lower = owned.enter_context(Fd.open(record.template_tree, os.O_RDONLY | os.O_DIRECTORY))
    # The same device again is the same file system, mounted nowhere.
    disk = owned.enter_context(new_filesystem("ext4", {"source": device, "discard": None}))
    return lower, owned.enter_context(Fd.open("upper", os.O_RDONLY | os.O_DIRECTORY, dir=disk))


async def let_go(record: Record) -> None:
    """Wait until nothing has the disk of a container that is down open any more; with a limit.

    The mounts of a process that has died end in a kernel worker, a tick or more later (delayed_mntput in
    fs/namespace.c), and the disk with them.  Whoever is told that the container is down may copy it.
    """
    image = record.storage.get("image")
    if image:
        with suppress(OSError):  # nobody can tell; the container is down all the same
            await asyncio.to_thread(loopdev.left, record.private, image)


def new_storage_spec(paths: Paths, config: CtConfig) -> StorageSpec:
    """The storage of a container that is being created from its OSTEMPLATE."""
    found = template.find(paths, config.ostemplate)
    return StorageSpec(
        ctid=config.ctid,
        private=config.private,
        layout=config.layout,
        template_tree=template.tree(paths, found),
        diskspace_kib=config.diskspace_kib[1] if config.diskspace_kib else None,
        diskinodes=config.diskinodes[1] if config.diskinodes else None,
    )
