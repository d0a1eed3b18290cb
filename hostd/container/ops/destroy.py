"""destroy: the private area is renamed away in one step, then deleted in the background.

First the configuration becomes `CTID.conf.destroying`, and with that the container is none any more.  After a crash or
a loss of power that file says what is left to do; it ends as `CTID.conf.destroyed`.
"""

import asyncio
import os

from hostd.checkpoint import images_dir
from hostd.config import files, names
from hostd.config.model import CtConfig, GlobalConfig, effective
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf
from hostd.container.ops import first_boot
from hostd.container.ops.on_disk import OnDisk
from hostd.container.report import Report
from hostd.container.steps import Step, run, unstoppable
from hostd.container.storage import layout_named
from hostd.errors import BadConfig, Exit, Failure

SCRIPTS = ("premount", "mount", "umount", "postumount", "start", "stop")


class Destruction(OnDisk):
    """A container that is being destroyed."""

    @property
    def note(self) -> str:
        return self.paths.ct_destroying(self.ctid)


async def destroy(paths: Paths, config: CtConfig, report: Report) -> None:
    """Remove the private area, a dump, and the mount point of a container that is down and unmounted; its
    configuration and action scripts are kept under another name.  Once begun it is not interrupted.
    """
    report(f"Destroying container private area: {config.private}")
    await unstoppable(run("destroy", STEPS, Destruction(paths, config)))
    report("Container private area was destroyed")


async def settle(paths: Paths, ctid: int, globals: GlobalConfig) -> str:
    """After a crash: finish the destroy that the note of *ctid* tells of; answers so.  VzError, OSError."""
    config = what_it_needs(ctid, VeConf.load(paths.ct_destroying(ctid)), globals)
    cut_off = Destruction(paths, config)
    another = os.path.lexists(cut_off.file)  # made with the same number meanwhile: what is there is its
    await run("destroy", (RETIRE,) if another else STEPS[1:], cut_off)
    return "finish"


def what_it_needs(ctid: int, conf: VeConf, globals: GlobalConfig) -> CtConfig:
    """The configuration; of a file with a bad value only what says where the container is.  BadConfig."""
    try:
        return effective(ctid, conf, globals)
    except BadConfig:
        conf = conf.copy()
        for key in {key for key, _ in conf.items()} - {"VE_PRIVATE", "VE_ROOT", "VE_LAYOUT", "NAME"}:
            conf.unset(key)
        return effective(ctid, conf, globals)


async def _note(this: Destruction) -> None:
    files.move(this.file, this.note)


async def _denote(this: Destruction) -> None:
    """Nothing was destroyed yet, or nothing can be brought back."""
    if os.path.lexists(this.config.private):
        files.move(this.note, this.file)


async def _discard(this: Destruction) -> None:
    private = this.config.private
    if os.path.lexists(private):
        layout = layout_named(this.config.layout)
        try:
            await asyncio.to_thread(layout.destroy, private, this.paths.vzrm_dir)
        except OSError as error:
            raise Failure(Exit.FS_DEL_PRVT, f"cannot remove {private}: {error.strerror}") from error
        files.sync(os.path.dirname(private))


async def _drop_dump(this: Destruction) -> None:
    """And what a dump that was cut off, or could not be made durable, left beside it: memory of the container too."""
    await asyncio.to_thread(images_dir.remove_all, this.paths.dump(this.ctid))


async def _drop_root(this: Destruction) -> None:
    try:
        os.rmdir(this.config.root)
    except OSError:
        pass  # not empty or not there: it was never ours alone


async def _drop_name(this: Destruction) -> None:
    names.remove(this.paths, this.ctid, this.config.name)


async def _retire(this: Destruction) -> None:
    """The configuration goes last: what it leads to could not be found without it."""
    for action in SCRIPTS:
        path = f"{this.paths.conf_dir}/{this.ctid}.{action}"
        if os.path.lexists(path) and not os.path.lexists(this.file):
            os.rename(path, f"{path}.destroyed")
    if not os.path.lexists(this.file):
        first_boot.forget(this.paths, this.ctid)
    files.move(this.note, f"{this.file}.destroyed")


RETIRE = Step("retire", _retire)
STEPS = (
    Step("note", _note, _denote),
    Step("private", _discard),
    Step("dump", _drop_dump),
    Step("root", _drop_root),
    Step("name", _drop_name),
    RETIRE,
)
