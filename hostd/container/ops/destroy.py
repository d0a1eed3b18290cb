"""destroy: the private area is renamed away in one step, then deleted in the background.

From its first step on a destroy that was cut off is finished: half a container is of no use to anybody.
"""

import asyncio
import os
import shutil

from hostd.checkpoint import images_dir
from hostd.config import names
from hostd.config.model import CtConfig
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf
from hostd.container import faults
from hostd.container.container import Container
from hostd.container.record import Record
from hostd.container.report import Report
from hostd.container.storage import layout_named
from hostd.errors import Exit, Failure

SCRIPTS = ("premount", "mount", "umount", "postumount", "start", "stop")


async def destroy(ct: Container, config: CtConfig, report: Report) -> None:
    """Remove the private area, a dump, and the mount point of a container that is down and unmounted; its
    configuration and action scripts are kept under another name.
    """
    report(f"Destroying container private area: {config.private}")
    faults.point("destroy.begin")
    ct.record = Record(
        ctid=ct.ctid, intent="destroy", layout=config.layout, private=config.private, root=config.root
    )
    ct.record.save(ct.world.paths)
    faults.point("destroy.noted")
    try:
        await finish(ct)
    finally:
        if ct.record is not None:
            ct.record.remove(ct.world.paths)
            ct.buried()
    report("Container private area was destroyed")


async def finish(ct: Container) -> None:
    """Do what the record says is still to be destroyed.  Idempotent."""
    record, paths = ct.record, ct.world.paths
    assert record is not None
    try:
        if os.path.lexists(record.private):
            await asyncio.to_thread(layout_named(record.layout).destroy, record.private, paths.vzrm_dir)
    except OSError as error:
        raise Failure(Exit.FS_DEL_PRVT, f"cannot remove {record.private}: {error.strerror}") from error
    faults.point("destroy.private")
    await asyncio.to_thread(images_dir.remove, paths.dump(ct.ctid))
    faults.point("destroy.dump")
    try:
        os.rmdir(record.root)
    except OSError:
        pass  # not empty or not there: it was never ours alone
    _retire(paths, ct.ctid)
    faults.point("destroy.end")
    record.remove(paths)
    ct.buried()


def _retire(paths: Paths, ctid: int) -> None:
    """The configuration goes last: what it leads to could not be found without it."""
    conf = paths.ct_conf(ctid)
    if not os.path.lexists(conf):
        return
    names.remove(paths, ctid, VeConf.load(conf).get("NAME") or "")
    faults.point("destroy.name")
    for action in SCRIPTS:
        path = f"{paths.conf_dir}/{ctid}.{action}"
        if os.path.lexists(path):
            shutil.move(path, f"{path}.destroyed")
    os.rename(conf, f"{conf}.destroyed")
