"""destroy: the private area is renamed away in one step, then deleted in the background."""

import asyncio
import os

from hostd.checkpoint import images_dir
from hostd.config.model import CtConfig
from hostd.container import faults
from hostd.container.container import Container
from hostd.container.report import Report
from hostd.container.storage import layout_named
from hostd.errors import Exit, Failure


async def destroy(ct: Container, config: CtConfig, report: Report) -> None:
    """Remove the private area, a dump, and the mount point of a container that is down and unmounted.

    The configuration file is the command's: it is renamed after this, so that a destroy that is cut off in the
    middle can be repeated.
    """
    report(f"Destroying container private area: {config.private}")
    faults.point("destroy.begin")
    try:
        if os.path.lexists(config.private):
            await asyncio.to_thread(layout_named(config.layout).destroy, config.private, ct.world.paths.vzrm_dir)
    except OSError as error:
        raise Failure(Exit.FS_DEL_PRVT, f"cannot remove {config.private}: {error.strerror}") from error
    faults.point("destroy.private")
    await asyncio.to_thread(images_dir.remove, ct.world.paths.dump(ct.ctid))
    faults.point("destroy.dump")
    try:
        os.rmdir(config.root)
    except OSError:
        pass  # not empty or not there: it was never ours alone
    report("Container private area was destroyed")
