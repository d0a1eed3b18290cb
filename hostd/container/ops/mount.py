"""mount and umount: the container's tree on the host, at VE_ROOT, without a container running in it."""

import os

from hostd.config.model import CtConfig
from hostd.container import faults, host_side, scripts
from hostd.container.container import Container
from hostd.container.ops.start import AFTER_MOUNT, BEFORE_MOUNT, STORAGE
from hostd.container.record import Record
from hostd.container.report import Report
from hostd.container.run import Run
from hostd.container.steps import Step, run, undo
from hostd.errors import Exit, Failure


async def note(run: Run) -> None:
    """Without a lease: the tree is mounted as it is on disk, so that the host's root can work in it."""
    run.save()


STEPS = (Step("record", note, host_side.give_back), BEFORE_MOUNT, STORAGE, AFTER_MOUNT)


async def mount(ct: Container, config: CtConfig, report: Report) -> None:
    """Mount the storage of a container that is down."""
    if not os.path.isdir(config.private):
        raise Failure(Exit.FS_NOPRVT, f"Container private area {config.private} does not exist")
    ct.record = Record(ctid=ct.ctid, intent="mount")
    this = Run(ct, ct.record, report, config)
    try:
        await run("mount", STEPS, this)
    except BaseException:
        ct.buried()
        raise
    this.record.intent = ""
    this.save()
    report("Container is mounted")


async def umount(ct: Container, report: Report) -> None:
    """Unmount the storage of a container that is mounted and not running; not when its umount script fails."""
    assert ct.record is not None
    ct.record.intent = "umount"
    this = Run(ct, ct.record, report)
    this.record.try_save(ct.world.paths)
    faults.point("umount.intent")
    await scripts.umount(this)
    if this.failures:
        this.record.intent = ""
        this.record.try_save(ct.world.paths)
        raise this.failures[0]
    await undo(STEPS, this)
    ct.buried()
    report("Container is unmounted")
