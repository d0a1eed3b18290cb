"""create: a private area from a template, then the configuration.

Before anything is made, the configuration is written beside its place, as `CTID.conf.creating`.  After a crash or a
loss of power that file says what is left to do: the create is finished when the private area is complete, which its
rename into place makes it, or the script of its distribution, and undone otherwise.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from hostd.config import dists, files, names
from hostd.config.model import CtConfig, GlobalConfig, effective
from hostd.config.paths import Paths
from hostd.config.places import UNFINISHED
from hostd.config.veconf import VeConf
from hostd.container import faults, furnish, scripts
from hostd.container.container import Container
from hostd.container.ops import first_boot, start
from hostd.container.ops.on_disk import OnDisk
from hostd.container.ops.script import SomehowRunning
from hostd.container.report import Report, to_log
from hostd.container.steps import Step, run, undo
from hostd.container.storage import layout_named, new_storage_spec
from hostd.errors import AlreadyRunning, Exit, Failure
from hostd.kernel.mount import is_mounted
from hostd.storage.base import StorageSpec
from hostd.storage.trash import discard
from hostd.userdata.plan import Plan


@dataclass
class Creation(OnDisk):
    """A container that is being created; *script* is the one of its distribution."""

    report: Report
    ct: Container | None = None  # None when only settling
    script: str | None = None
    plan: Plan | None = None
    spec: StorageSpec | None = None
    replaced: VeConf | None = None  # the file that was in the place of the configuration
    private_made: bool = False  # what is at the place of the private area is its own
    root_made: bool = False
    parents: tuple[str, ...] = ()  # directories above the private area that had to be made, the innermost first

    @property
    def note(self) -> str:
        return self.paths.ct_creating(self.ctid)

    @property
    def unfinished(self) -> bool:
        """What it makes is not at its place yet: what is there is somebody else's."""
        return os.path.lexists(self.config.private + UNFINISHED)


UNSCRIPTED = "# The script of the distribution has not ended.\n"  # at the end of a note
_in_the_making: set[str] = set()  # private areas: what two containers were given, the second would undo


def check_free(ct: Container, private: str, root: str) -> None:
    """There is no container of this number, at *private* and *root*: the new one's configuration would take the place
    of its own, wherever the new private area is.  Raises AlreadyRunning, Failure(41) and Failure(44).
    """
    if ct.running:
        raise AlreadyRunning("Container is already running")
    if root and is_mounted(root):
        raise Failure(Exit.FS_MOUNTED, f"CT {ct.ctid} exists and is mounted at {root}")
    if private and _filled(private):
        raise _in_the_way(private)


def _in_the_way(private: str) -> Failure:
    return Failure(Exit.FS_PRVT_AREA_EXIST, f"Private area already exists in {private}")


async def create(ct: Container, config: CtConfig, plan: Plan | None, report: Report) -> None:
    """Make the private area of *config* and save its text, and what the first boot is to do by *plan*.

    All of it is there afterwards, or nothing.
    """
    if _filled(config.private) or config.private in _in_the_making:
        raise _in_the_way(config.private)
    layout_named(config.layout)
    paths = ct.world.paths
    script = dists.script(paths, config, dists.POST_CREATE, report)
    report(f"Creating container private area ({config.ostemplate})")
    _in_the_making.add(config.private)
    try:
        await run("create", STEPS, Creation(paths, config, report, ct, script, plan))
    finally:
        _in_the_making.discard(config.private)
    report("Container private area was created")


async def settle(paths: Paths, ctid: int, globals: GlobalConfig) -> str:
    """After a crash: finish or undo the create that the note of *ctid* tells of; answers which.  VzError, OSError."""
    config = effective(ctid, VeConf.load(paths.ct_creating(ctid)), globals)
    cut_off = Creation(paths, config, to_log)
    if _filled(config.private) and not cut_off.unfinished and not unscripted(paths, ctid):
        await run("create", (NAME, CONF), cut_off)
        return "finish"
    cut_off.private_made, cut_off.root_made = not cut_off.unfinished, True
    await undo((NOTE, PLAN, PRIVATE, POSTCREATE), cut_off)
    return "undo"


def unscripted(paths: Paths, ctid: int) -> bool:
    """The create of *ctid* was cut off before the script of its distribution had ended.  VzError, OSError."""
    return VeConf.load(paths.ct_creating(ctid)).text().endswith(UNSCRIPTED)


def _filled(private: str) -> bool:
    return os.path.isdir(private) and bool(os.listdir(private))


@contextmanager
def _saving(this: Creation) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Failure(Exit.CONFIG_SAVE, f"Unable to save {this.file}: {error.strerror}") from error


async def _note(this: Creation) -> None:
    with _saving(this):
        files.replace(this.note, this.config.raw.text() + (UNSCRIPTED if this.script else ""))


async def _forget(this: Creation) -> None:
    files.remove(this.note)


async def _lay_plan(this: Creation) -> None:
    first_boot.forget(this.paths, this.ctid)  # of another one with this number
    if this.plan is not None:
        with _saving(this):
            first_boot.save(this.paths, this.ctid, this.plan)


async def _drop_plan(this: Creation) -> None:
    first_boot.forget(this.paths, this.ctid)


async def _unpack(this: Creation) -> None:
    this.spec = await asyncio.to_thread(new_storage_spec, this.paths, this.config)


async def _fill(this: Creation) -> None:
    assert this.spec is not None
    this.parents = tuple(_missing(os.path.dirname(this.config.private)))
    await asyncio.to_thread(layout_named(this.config.layout).create, this.spec)
    this.private_made = True


async def _empty(this: Creation) -> None:
    """While the template was unpacked somebody may have put a private area there: from a backup, say."""
    place = this.config.private
    for path in (place, place + UNFINISHED) if this.private_made else (place + UNFINISHED,):
        if os.path.lexists(path):
            await asyncio.to_thread(discard, path, this.paths.vzrm_dir)
            files.sync(os.path.dirname(path))
    for path in this.parents:
        with suppress(OSError):  # somebody else uses it by now
            os.rmdir(path)


def _missing(path: str) -> Iterator[str]:
    while not os.path.lexists(path):
        yield path
        path = os.path.dirname(path)


async def _postcreate(this: Creation) -> None:
    """The script of the distribution changes the container from inside, before anybody knows it."""
    this.report("Performing postcreate actions")
    if this.script is None:
        return
    assert this.ct is not None
    this.root_made = not os.path.lexists(this.config.root)
    variables = {
        "VEID": str(this.ctid),
        "VE_ROOT": "/",  # OpenVZ's own scripts put it before every path
        "VE_STATE": "starting",
        "USERNS": "no" if this.config.privileged else "yes",
        "HOSTNM": furnish.hostname(this.config),
    }
    async with SomehowRunning(this.ct, this.config, start.NEW_STEPS):
        await scripts.run_inside(this.ct, this.script, this.report, variables)
    with _saving(this):
        this.config.raw.save(this.note)


async def _leave_root(this: Creation) -> None:
    if this.root_made:
        with suppress(OSError):
            os.rmdir(this.config.root)


async def _give_name(this: Creation) -> None:
    with _saving(this):
        if this.config.name:
            names.assign(this.paths, this.ctid, this.config.name)


async def _take_name(this: Creation) -> None:
    if this.config.name:
        names.remove(this.paths, this.ctid, this.config.name)


async def _configure(this: Creation) -> None:
    with _saving(this):
        if os.path.lexists(this.file):
            this.replaced = VeConf.load(this.file)
        this.config.raw.save(this.file)
        faults.point("create.saved")
        files.remove(this.note)
    this.report(f"CT configuration saved to {this.file}")


async def _take_configuration(this: Creation) -> None:
    """The note comes back first: should we die before the private area is gone, nothing else would tell of it."""
    if this.replaced is not None:
        files.replace(this.note, this.config.raw.text())
        this.replaced.save(this.file)
    elif os.path.lexists(this.note):  # the configuration was not saved, or the note could not be removed
        files.remove(this.file)
    else:
        files.move(this.file, this.note)


async def _script(this: Creation) -> None:
    await scripts.created(this.paths, this.ctid, this.report)


NOTE = Step("note", _note, _forget)
PLAN = Step("plan", _lay_plan, _drop_plan)
PRIVATE = Step("private", _fill, _empty)
POSTCREATE = Step("postcreate", _postcreate, _leave_root, stops=True)
NAME = Step("name", _give_name, _take_name)
CONF = Step("conf", _configure, _take_configuration)
STEPS = (
    *(NOTE, PLAN, Step("template", _unpack), PRIVATE, POSTCREATE, NAME, CONF),
    Step("script", _script, stops=True),
)
