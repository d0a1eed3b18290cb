"""Creates and destroys that were cut off, by the files they left: no record, as after a loss of power."""

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hostd.config import files, skeleton
from hostd.config.model import GlobalConfig, effective
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf
from hostd.container.container import Container
from hostd.container.ops import create, destroy
from hostd.container.steps import Step
from hostd.container.world import World
from hostd.daemon import recover
from hostd.daemon.registry import Registry
from hostd.errors import Failure
from hostd.storage.base import StorageSpec
from hostd.storage.private import being_made

CONF = 'VE_PRIVATE="/var/lib/vz/private/$VEID"\nVE_LAYOUT="simfs"\nNAME="web"\n'


class Disk:
    """An installation below a directory of its own."""

    def __init__(self, prefix: Path) -> None:
        self.paths = Paths(str(prefix))
        skeleton.install(self.paths)
        os.makedirs(self.paths.conf_dir, exist_ok=True)
        self.private = self.paths.below("/var/lib/vz/private/101")

    def put(self, path: str, text: str = CONF) -> None:
        VeConf.parse(text).save(path)

    def area(self, path: str, content: str = "etc") -> None:
        os.makedirs(f"{path}/{content}")

    def settle(self, module: object) -> str:
        globals = GlobalConfig.load(self.paths)
        return asyncio.run(module.settle(self.paths, 101, globals))  # type: ignore[attr-defined, no-any-return]

    def files(self) -> set[str]:
        """What there is of CT 101."""
        places = (self.paths.conf_dir, self.paths.names_dir, os.path.dirname(self.private))
        names = {name for place in places if os.path.isdir(place) for name in os.listdir(place)}
        return {name for name in names if name.startswith(("101", "web"))}


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def test_a_create_with_a_complete_area_is_finished(disk: Disk) -> None:
    disk.put(disk.paths.ct_creating(101))
    disk.area(disk.private)
    assert disk.settle(create) == "finish"
    assert disk.files() == {"101", "101.conf", "web"}
    assert VeConf.load(disk.paths.ct_conf(101)).text() == CONF


@pytest.mark.parametrize("left", ["", "101.tmp"])
def test_any_other_is_undone(disk: Disk, left: str) -> None:
    disk.put(disk.paths.ct_creating(101))
    if left:
        disk.area(f"{os.path.dirname(disk.private)}/{left}")
    assert disk.settle(create) == "undo"
    assert disk.files() == set()


def test_one_whose_script_has_not_ended_is_undone(disk: Disk) -> None:
    disk.put(disk.paths.ct_creating(101), CONF + create.UNSCRIPTED)
    disk.area(disk.private)
    assert disk.settle(create) == "undo"
    assert disk.files() == set()


@pytest.mark.parametrize("script", ["", create.UNSCRIPTED])
def test_what_was_put_in_the_place_of_one_that_was_cut_off_stays(disk: Disk, script: str) -> None:
    disk.put(disk.paths.ct_creating(101), CONF + script)
    disk.area(f"{disk.private}.tmp")
    disk.area(disk.private, "restored")
    assert disk.settle(create) == "undo"
    assert disk.files() == {"101"} and os.listdir(disk.private) == ["restored"]


def test_an_undone_create_leaves_the_file_that_was_there(disk: Disk) -> None:
    disk.put(disk.paths.ct_conf(101), "ONBOOT=no\n")
    disk.put(disk.paths.ct_creating(101))
    assert disk.settle(create) == "undo"
    assert disk.files() == {"101.conf"}
    assert VeConf.load(disk.paths.ct_conf(101)).text() == "ONBOOT=no\n"


@pytest.mark.parametrize("left", ["private", "nothing"])
def test_a_destroy_is_finished(disk: Disk, left: str) -> None:
    disk.put(disk.paths.ct_destroying(101), CONF + 'IP_ADDRESS="nonsense"\n')
    if left == "private":
        disk.area(disk.private)
    os.makedirs(disk.paths.names_dir, exist_ok=True)
    os.symlink(disk.paths.ct_conf(101), f"{disk.paths.names_dir}/web")
    disk.put(f"{disk.paths.conf_dir}/101.mount", "")
    assert disk.settle(destroy) == "finish"
    assert disk.files() == {"101.conf.destroyed", "101.mount.destroyed"}


def test_no_memory_of_it_stays(disk: Disk) -> None:
    """Neither a checkpoint nor what one left that was cut off, or could not be made durable."""
    disk.put(disk.paths.ct_destroying(101))
    kept = f"{disk.paths.dump_dir}/Dump.1011.part"
    for path in (*(f"{disk.paths.dump(101)}{end}" for end in ("", ".part", ".old", ".gone")), kept):
        disk.area(path)
    disk.settle(destroy)
    assert os.listdir(disk.paths.dump_dir) == [os.path.basename(kept)]


def test_a_later_container_with_the_number_is_not_harmed(disk: Disk) -> None:
    disk.put(disk.paths.ct_destroying(101), "")
    disk.put(disk.paths.ct_conf(101))
    disk.area(disk.private)
    disk.put(f"{disk.paths.conf_dir}/101.mount", "")
    disk.settle(destroy)
    assert disk.files() == {"101", "101.conf", "101.conf.destroyed", "101.mount"}


def test_one_that_cannot_be_settled_keeps_the_next_from_nothing(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that ended here would be started again, and end again."""

    async def broken(*_: object) -> str:
        raise AssertionError("a bug")

    monkeypatch.setattr(create, "settle", broken)
    disk.put(disk.paths.ct_creating(100))
    disk.put(disk.paths.ct_destroying(101))
    world = SimpleNamespace(paths=disk.paths, load_globals=lambda: GlobalConfig.load(disk.paths))
    asyncio.run(recover._settle_on_disk(Registry(cast(World, world))))
    assert disk.files() == {"101.conf.destroyed"}
    assert os.path.exists(disk.paths.ct_creating(100))


def test_two_creates_in_one_place_at_once(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is refused before it has anything to undo."""
    config = effective(101, VeConf.parse(CONF), GlobalConfig.load(disk.paths))
    same = VeConf.parse(f'VE_PRIVATE="{config.private}"\nVE_LAYOUT="simfs"\n')
    other = effective(102, same, GlobalConfig.load(disk.paths))

    making = Container(cast(World, SimpleNamespace(paths=disk.paths)), 101)

    async def scene() -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def fill(this: create.Creation) -> None:
            if not begun.is_set():
                begun.set()
                await go_on.wait()
            disk.area(this.config.private)

        monkeypatch.setattr(create, "STEPS", (create.NOTE, Step("private", fill, create._empty), create.CONF))
        first = asyncio.ensure_future(create.create(making, config, None, lambda line: None))
        await begun.wait()
        with pytest.raises(Failure, match=f"Private area already exists in {config.private}"):
            await create.create(making, other, None, lambda line: None)
        go_on.set()
        await first

    asyncio.run(scene())
    assert os.listdir(config.private) == ["etc"]


class InNoHurry:
    """A layout that makes private areas, and does *meanwhile* before they are in their places."""

    def __init__(self, meanwhile: Callable[[str], None]) -> None:
        self._meanwhile = meanwhile

    def create(self, private: str) -> None:
        with being_made(private) as part:
            os.mkdir(f"{part}/etc")
            self._meanwhile(private)


def undone(disk: Disk, layout: InNoHurry, monkeypatch: pytest.MonkeyPatch, *then: Step[create.Creation]) -> Failure:
    """What a create of CT 101 fails with."""
    config = effective(101, VeConf.parse(CONF), GlobalConfig.load(disk.paths))

    async def unpack(this: create.Creation) -> None:
        this.spec = cast(StorageSpec, this.config.private)

    steps = (create.NOTE, Step("template", unpack), create.PRIVATE, *then)
    monkeypatch.setattr(create, "STEPS", steps)
    monkeypatch.setattr(create, "layout_named", lambda _name: layout)
    making = Container(cast(World, SimpleNamespace(paths=disk.paths)), 101)
    with pytest.raises(Failure) as failed:
        asyncio.run(create.create(making, config, None, lambda line: None))
    return failed.value


def restored(private: str) -> None:
    os.makedirs(f"{private}/restored")


def linked(private: str) -> None:
    os.mkdir(f"{os.path.dirname(private)}/elsewhere")
    os.symlink("elsewhere", private)


@pytest.mark.parametrize(("meanwhile", "code"), [(restored, 44), (linked, 48)])
def test_what_is_put_in_its_place_while_it_is_made_stays(
    disk: Disk, meanwhile: Callable[[str], None], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert undone(disk, InNoHurry(meanwhile), monkeypatch).exit_code == code
    assert disk.files() == {"101"}
    assert os.path.islink(disk.private) == (meanwhile is linked)


def test_what_it_made_itself_goes(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_this: create.Creation) -> None:
        raise Failure(3, "of the script")

    assert undone(disk, InNoHurry(lambda _private: None), monkeypatch, Step("script", fail)).message == "of the script"
    assert disk.files() == set()


@pytest.mark.parametrize("before", [set(), {"101.conf"}])
def test_the_note_of_one_that_is_undone_is_there_until_its_area_is_gone(
    disk: Disk, before: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when all was saved already, and the script of the host refused it."""
    seen = []

    async def empty(this: create.Creation) -> None:
        seen.append(disk.files())
        await create._empty(this)

    async def fail(_this: create.Creation) -> None:
        raise Failure(79, "refused")

    for _ in before:
        disk.put(disk.paths.ct_conf(101), "ONBOOT=no\n")
    monkeypatch.setattr(create, "PRIVATE", Step("private", create._fill, empty))
    undone(disk, InNoHurry(lambda _private: None), monkeypatch, create.CONF, Step("script", fail))
    assert seen == [{"101", "101.conf.creating", *before}] and disk.files() == before
    if before:
        assert VeConf.load(disk.paths.ct_conf(101)).text() == "ONBOOT=no\n"


def test_one_whose_place_the_disk_does_not_take_goes(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = files.sync

    def broken(path: str) -> None:
        if path == os.path.dirname(disk.private):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(path)

    with monkeypatch.context() as failing:
        failing.setattr(files, "sync", broken)
        with pytest.raises(Failure, match="Input/output error"):
            InNoHurry(lambda _private: None).create(disk.private)
    assert disk.files() == set()
