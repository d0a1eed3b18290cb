"""set --diskspace and --diskinodes of a container that exists."""

import asyncio

from hostd.config.model import CtConfig
from hostd.container.container import Container
from hostd.container.steps import whole
from hostd.container.storage import layout_named, storage_spec
from hostd.errors import Exit, Failure
from hostd.kernel.mount import is_mounted


async def resize(ct: Container, config: CtConfig) -> None:
    """Give the disk the size that *config* says.  Raises Failure; it keeps its own then."""
    await whole(asyncio.to_thread(_resize, ct, config))


def other_inodes(ct: Container, config: CtConfig) -> int | None:
    """How many inodes the disk has, when they are not those that *config* wants; None, too, when nobody can tell."""
    try:
        return layout_named(config.layout).other_inodes(storage_spec(ct.world.paths, config))
    except (OSError, Failure):
        return None


def _resize(ct: Container, config: CtConfig) -> None:
    if is_mounted(config.root):
        raise Failure(Exit.FS_MOUNTED, f"Container is mounted: unmount CT {ct.ctid} to resize its disk")
    layout_named(config.layout).resize(storage_spec(ct.world.paths, config))
