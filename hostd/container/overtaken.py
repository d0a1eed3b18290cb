"""A checkpoint is the memory that goes with one state of a disk.  Once the container runs, from it or without it, the
disk changes: restored after that, old memory would write over what is newer.
"""

import asyncio
import os

from hostd.checkpoint import images_dir
from hostd.config.paths import Paths


async def forget(paths: Paths, ctid: int) -> None:
    """Remove the checkpoint of a container that runs, or is about to: then no loss of power brings it back.  What a
    daemon that died at this has left goes as well.

    Failure, OSError.
    """
    path = paths.dump(ctid)
    if os.path.lexists(path):
        await asyncio.to_thread(images_dir.discard, path)
    elif os.path.lexists(images_dir.gone(path)):
        await asyncio.to_thread(images_dir.bury, path)
