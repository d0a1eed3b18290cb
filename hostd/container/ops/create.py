"""create: a private area from a template, then the configuration.

Before anything is made, the configuration is written beside its place, as `CTID.conf.creating`.  After a crash or a
loss of power that file says what is left to do: the create is finished when the private area is complete, which its
rename into place makes it, and undone otherwise.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from hostd.config import files, names
from hostd.config.model import CtConfig, GlobalConfig, effective
from hostd.config.paths import Paths
from hostd.config.places import UNFINISHED
from hostd.config.veconf import VeConf
from hostd.container import faults, scripts
from hostd.container.ops.on_disk import OnDisk
from hostd.container.report import Report, to_log
from hostd.container.steps import Step, run, undo
from hostd.container.storage import layout_named, new_storage_spec
from hostd.errors import Exit, Failure
from hostd.storage.base import StorageSpec
from hostd.storage.trash import discard


@dataclass
class Creation(OnDisk):
    """A container that is being created."""

    report: Report
    spec: StorageSpec | None = None
    replaced: VeConf | None = None  # the file that was in the place of the configuration
    parents: tuple[str, ...] = ()  # directories above the private area that had to be made, the innermost first

    @property
    def note(self) -> str:
        return self.paths.ct_creating(self.ctid)


_in_the_making: set[str] = set()  # private areas: what two containers were given, the second would undo


async def create(paths: Paths, config: CtConfig, report: Report) -> None:
    """Make the private area of *config* and save its text.  All of it is there afterwards, or nothing."""
    if _filled(config.private) or config.private in _in_the_making:
        raise Failure(Exit.FS_PRVT_AREA_EXIST, f"Private area already exists in {config.private}")
    layout_named(config.layout)
    report(f"Creating container private area ({config.ostemplate})")
    _in_the_making.add(config.private)
    try:
        await run("create", STEPS, Creation(paths, config, report))
    finally:
        _in_the_making.discard(config.private)
    report("Container private area was created")


async def settle(paths: Paths, ctid: int, globals: GlobalConfig) -> str:
    """After a crash: finish or undo the create that the note of *ctid* tells of; answers which.  VzError, OSError."""
    config = effective(ctid, VeConf.load(paths.ct_creating(ctid)), globals)
    cut_off = Creation(paths, config, to_log)
    if _filled(config.private):
        await run("create", (NAME, CONF), cut_off)
        return "finish"
    await undo((NOTE, PRIVATE), cut_off)
    return "undo"


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
        this.config.raw.save(this.note)


async def _forget(this: Creation) -> None:
    files.remove(this.note)


async def _unpack(this: Creation) -> None:
    this.spec = await asyncio.to_thread(new_storage_spec, this.paths, this.config)


async def _fill(this: Creation) -> None:
    assert this.spec is not None
    this.parents = tuple(_missing(os.path.dirname(this.config.private)))
    await asyncio.to_thread(layout_named(this.config.layout).create, this.spec)


async def _empty(this: Creation) -> None:
    for path in (this.config.private, this.config.private + UNFINISHED):
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


async def _give_name(this: Creation) -> None:
    this.report("Performing postcreate actions")
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
    if this.replaced is not None:
        this.replaced.save(this.file)
    else:
        files.remove(this.file)


async def _script(this: Creation) -> None:
    await scripts.created(this.paths, this.ctid, this.report)


NOTE = Step("note", _note, _forget)
PRIVATE = Step("private", _fill, _empty)
NAME = Step("name", _give_name, _take_name)
CONF = Step("conf", _configure, _take_configuration)
STEPS = (NOTE, Step("template", _unpack), PRIVATE, NAME, CONF, Step("script", _script, stops=True))
