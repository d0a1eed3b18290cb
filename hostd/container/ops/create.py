"""create: a private area from a template, then the configuration.

Until the private area is complete a create that was cut off is undone; from then on the record holds all that is
left to do, and it is finished.
"""

import asyncio
import os

from hostd.config import names
from hostd.config.model import CtConfig
from hostd.config.veconf import VeConf
from hostd.container import faults, scripts
from hostd.container.container import Container
from hostd.container.record import Record
from hostd.container.report import Report
from hostd.container.storage import layout_named, new_storage_spec
from hostd.errors import Exit, Failure
from hostd.storage.names import UNFINISHED
from hostd.storage.trash import discard


async def create(ct: Container, config: CtConfig, conf: VeConf, report: Report) -> None:
    """Make the private area of *config* and save *conf*.  All of it is there afterwards, or nothing."""
    private, paths = config.private, ct.world.paths
    if os.path.isdir(private) and os.listdir(private):
        raise Failure(Exit.FS_PRVT_AREA_EXIST, f"Private area already exists in {private}")
    layout_named(config.layout)
    report(f"Creating container private area ({config.ostemplate})")
    ct.record = Record(ctid=ct.ctid, intent="create", layout=config.layout, private=private)
    ct.record.save(paths)
    try:
        await _make(ct, config, report)
        report("Performing postcreate actions")
        ct.record.conf = conf.text()
        ct.record.save(paths)
        finish(ct)
    except BaseException:
        await abandon(ct)
        raise
    report(f"CT configuration saved to {paths.ct_conf(ct.ctid)}")
    try:
        await scripts.created(paths, ct.ctid, report)
    except BaseException:
        await _take_back(ct, config)
        raise
    report("Container private area was created")


async def _make(ct: Container, config: CtConfig, report: Report) -> None:
    faults.point("create.begin")
    spec = await asyncio.to_thread(new_storage_spec, ct.world.paths, config)
    faults.point("create.template")
    layout = layout_named(config.layout)
    for line in layout.warnings(spec):
        report(line)
    await asyncio.to_thread(layout.create, spec)
    faults.point("create.private")


async def _take_back(ct: Container, config: CtConfig) -> None:
    """vps.create has refused the finished container."""
    paths = ct.world.paths
    if config.name:
        names.remove(paths, ct.ctid, config.name)
    os.unlink(paths.ct_conf(ct.ctid))
    await asyncio.to_thread(discard, config.private, paths.vzrm_dir)


def finish(ct: Container) -> None:
    """The private area is complete: give the container its configuration and its name."""
    record, paths = ct.record, ct.world.paths
    assert record is not None and record.conf
    path = paths.ct_conf(ct.ctid)
    conf = VeConf.parse(record.conf, path)
    faults.point("create.noted")
    try:
        conf.save(path)
        faults.point("create.conf")
        if name := conf.get("NAME"):
            names.assign(paths, ct.ctid, name)
    except OSError as error:
        raise Failure(Exit.CONFIG_SAVE, f"Unable to save {path}: {error.strerror}") from error
    faults.point("create.name")
    record.remove(paths)
    ct.buried()


async def settle(ct: Container) -> None:
    """After a crash in the middle: finish or undo."""
    assert ct.record is not None
    if ct.record.conf:
        finish(ct)
    else:
        await abandon(ct)


async def abandon(ct: Container) -> None:
    """Undo a create whose private area is not complete, or whose configuration cannot be saved.  Idempotent."""
    record, paths = ct.record, ct.world.paths
    assert record is not None
    for path in (record.private, record.private + UNFINISHED):
        if os.path.lexists(path):
            await asyncio.to_thread(discard, path, paths.vzrm_dir)
    record.remove(paths)
    ct.buried()
