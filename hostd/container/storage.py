"""Which storage a configuration means: the layout by its name, and what the layout must know."""

from hostd.config.model import CtConfig
from hostd.config.paths import Paths
from hostd.errors import Exit, Failure
from hostd.image import template
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
