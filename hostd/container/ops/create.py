"""create: a private area from a template.  The configuration is the command's business; the tree is ours."""

import asyncio
import os

from hostd.config.model import CtConfig
from hostd.container import faults
from hostd.container.container import Container
from hostd.container.report import Report
from hostd.container.storage import layout_named, new_storage_spec
from hostd.errors import Exit, Failure


async def create(ct: Container, config: CtConfig, report: Report) -> None:
    """Make the private area of *config* from its template.  All of it is there afterwards, or nothing."""
    private = config.private
    if os.path.isdir(private) and os.listdir(private):
        raise Failure(Exit.FS_PRVT_AREA_EXIST, f"Private area already exists in {private}")
    layout = layout_named(config.layout)
    report(f"Creating container private area ({config.ostemplate})")
    faults.point("create.begin")
    spec = await asyncio.to_thread(new_storage_spec, ct.world.paths, config)
    faults.point("create.template")
    await asyncio.to_thread(layout.create, spec)
    faults.point("create.private")
    report("Performing postcreate actions")
