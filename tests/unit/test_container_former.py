"""Files inside as they were: looked at, and put there again when a change has failed or was cut off."""

import asyncio
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hostd.config.model import GlobalConfig, effective
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf
from hostd.container import device_filter, inner_limits, socket_limits
from hostd.container.container import Container
from hostd.container.init_link import InitLink
from hostd.container.inner_limits import Row
from hostd.container.ops import apply, former, sessions, undo
from hostd.container.ops.apply import LiveChange
from hostd.container.record import Record, load
from hostd.container.steps import nothing
from hostd.container.world import World
from hostd.errors import Failure
from hostd.kernel.process import Process

NAME, RESOLVER = "/etc/hostname", "/etc/resolv.conf"


class Inside:
    """A container whose root is a directory, and whose init writes into it; it can *refuse* that."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = directory / "root"
        (self.root / "etc").mkdir(parents=True)
        self.name = "ct101"
        self.refuse = ""
        self.paths = Paths(str(directory))
        self.globals = GlobalConfig.from_conf(self.paths, VeConf())
        tree = SimpleNamespace(v1_roots=(), unified_root="")
        world = SimpleNamespace(tree=tree, paths=self.paths, load_globals=lambda: self.globals)
        process = cast(Process, SimpleNamespace(alive=lambda: True, pidfd=None))
        self.record = Record(ctid=101, root=str(self.root))
        self.ct = Container(cast(World, world), 101, self.record, process, cast(InitLink, self))
        monkeypatch.setattr(former, "is_mounted", os.path.isdir)
        monkeypatch.setattr(former, "nodename", lambda pidfd: self.name)
        monkeypatch.setattr(sessions, "quietly", self.run)
        for module, function in ((device_filter, "protect"), (socket_limits, "put"), (undo, "take_back_limits")):
            monkeypatch.setattr(module, function, lambda *_: None)
        monkeypatch.setattr(Container, "netns", lambda ct: nullcontext())
        monkeypatch.setattr(inner_limits, "ROWS", ())
        monkeypatch.setattr(apply, "_settle_inside", lambda ct, config: nothing(ct))

    def file(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def texts(self, *paths: str) -> list[str | None]:
        return [self.file(path).read_text() if self.file(path).exists() else None for path in paths]

    async def ask(self, verb: str, **fields: str) -> None:  # the words of an InitLink
        if verb == "hostname":
            self.name = fields["name"]
        elif fields["path"] == self.refuse:
            raise OSError(28, "No space left on device")
        elif not fields.get("mark"):
            file = self.file(fields["path"])
            file.unlink(missing_ok=True)
            file.write_bytes(fields["data"].encode("utf-8", "surrogateescape"))
            file.chmod(int(fields["mode"], 8))

    async def run(self, ct: Container, argv: list[str]) -> int:
        *command, target, path = argv
        assert command == ["/bin/ln", "-sfn"]
        self.file(path).unlink()
        self.file(path).symlink_to(target)
        return 0

    def change(self, old: str = "", new: str = 'HOSTNAME="x"\nNAMESERVER="192.0.2.53"\n') -> LiveChange:
        before, after = (effective(101, VeConf.parse(text), self.globals) for text in (old, new))
        return LiveChange(before, after, (), ())


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    return Inside(tmp_path, monkeypatch)


def last_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise OSError(16, "something else is mounted there")

    monkeypatch.setattr(inner_limits, "ROWS", (Row("NUMPTY", lambda config: len(config.hostname), fail),))


def put_nothing(inside: Inside) -> None:
    pass


def put_texts(inside: Inside) -> None:
    inside.file(NAME).write_bytes(b"of the guest's\n\xff")
    inside.file(NAME).chmod(0o600)
    inside.file(RESOLVER).write_text("# of the image\n")


def put_links(inside: Inside) -> None:
    inside.file(NAME).symlink_to("/nowhere")
    inside.file(RESOLVER).symlink_to("../run/stub.conf")


def state(inside: Inside) -> list[object]:
    """Of both files: where it leads, or its mode and bytes."""
    files = [inside.file(path) for path in (NAME, RESOLVER)]
    return [
        os.readlink(file) if file.is_symlink() else (file.stat().st_mode, file.read_bytes()) if file.exists() else None
        for file in files
    ]


@pytest.mark.parametrize("put", [put_nothing, put_texts, put_links])
def test_a_change_that_fails_leaves_what_was_there(
    inside: Inside, put: Callable[[Inside], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of which the configuration knows anything of."""
    put(inside)
    inside.name = "mine"
    before = state(inside)
    last_fails(monkeypatch)
    with pytest.raises(Failure) as raised:
        asyncio.run(apply.apply(inside.ct, inside.change(), print))
    assert raised.value.message == "cannot set NUMPTY to 1: something else is mounted there"
    assert state(inside) == before and inside.name == "mine"
    assert inside.record.former == {}


@pytest.mark.parametrize("put", [put_nothing, put_texts, put_links])
def test_a_change_that_was_cut_off_leaves_what_was_there(
    inside: Inside, put: Callable[[Inside], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what is on record: the daemon that wrote the files is dead."""
    put(inside)
    inside.name = "mine"
    before, change = state(inside), inside.change()
    asyncio.run(apply._names(inside.ct, change, []))
    assert inside.name == "x" and inside.texts(NAME) == ["x\n"]
    record = load(inside.paths, 101)
    assert record is not None
    inside.ct.record = record
    asyncio.run(apply.settle(inside.ct, change.old))
    assert state(inside) == before and inside.name == "mine" and record.former == {}


def test_a_change_of_other_things_that_was_cut_off_touches_no_file(inside: Inside) -> None:
    put_texts(inside)
    before, inside.name = state(inside), "mine"
    inside.record.intent, inside.record.setting = "set", {"PHYSPAGES": "0:65536"}
    asyncio.run(apply.settle(inside.ct, inside.change(old='HOSTNAME="x"\nNAMESERVER="192.0.2.53"\n').old))
    assert state(inside) == before and inside.name == "mine"


def test_a_file_that_was_ours_is_what_it_was(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    inside.file(NAME).write_text("first\n")
    last_fails(monkeypatch)
    with pytest.raises(Failure):
        asyncio.run(apply.apply(inside.ct, inside.change('HOSTNAME="first"\n'), print))
    assert inside.texts(NAME, RESOLVER) == ["first\n", None] and inside.name == "ct101"


def test_a_change_that_is_done_stays(inside: Inside) -> None:
    asyncio.run(apply.apply(inside.ct, inside.change(), print))
    assert inside.texts(NAME, RESOLVER) == ["x\n", "nameserver 192.0.2.53\n"] and inside.name == "x"
    assert inside.record.former == {}


@pytest.mark.parametrize("data", [b"a\0b", b"x" * (former.MOST + 1)])
def test_what_cannot_be_put_there_again_is_told(
    inside: Inside, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the configuration says what it was."""
    inside.file(NAME).write_bytes(data)
    last_fails(monkeypatch)
    with pytest.raises(Failure) as raised:
        asyncio.run(apply.apply(inside.ct, inside.change(), print))
    told = "something else could not be taken back: it is not known what /etc/hostname was"
    assert raised.value.message == f"cannot set NUMPTY to 1: something else is mounted there; {told}"
    inside.file(NAME).write_bytes(data)
    with pytest.raises(Failure) as raised:
        asyncio.run(apply.apply(inside.ct, inside.change('HOSTNAME="first"\n'), print))
    assert "taken back" not in raised.value.message and inside.texts(NAME) == ["first\n"]


def test_one_that_cannot_be_keeps_no_other(inside: Inside) -> None:
    inside.file(RESOLVER).write_text("nameserver 192.0.2.53\n")
    inside.refuse = NAME
    kept = {NAME: [former.FILE, "644", "old\n"], RESOLVER: [former.NOTHING]}
    with pytest.raises(Failure, match=r"^/etc/hostname: No space left on device$"):
        asyncio.run(former.put_back(inside.ct, kept))
    assert inside.texts(RESOLVER) == [None]


def test_no_link_leads_out(inside: Inside, tmp_path: Path) -> None:
    """Neither of who looks nor of who removes."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/hostname").write_text("the host's\n")
    os.rmdir(inside.root / "etc")
    (inside.root / "etc").symlink_to(tmp_path / "outside")
    assert asyncio.run(former.look(inside.ct, [NAME])) == {}
    with pytest.raises(Failure, match=r"^/etc/hostname: "):
        asyncio.run(former.put_back(inside.ct, {NAME: [former.NOTHING]}))
    assert (tmp_path / "outside/hostname").exists()


def test_a_device_is_not_read(inside: Inside) -> None:
    os.mkfifo(inside.file(NAME))
    assert asyncio.run(former.look(inside.ct, [NAME, RESOLVER])) == {RESOLVER: [former.NOTHING]}


def test_what_is_gone_is_gone(inside: Inside) -> None:
    asyncio.run(former.put_back(inside.ct, {NAME: [former.NOTHING], "/nowhere/it": [former.NOTHING]}))


def test_what_changed_otherwise_is_not_looked_at(inside: Inside) -> None:
    """Lines of ours in the guest's /etc/hosts are known by their mark."""
    change = inside.change()
    asyncio.run(apply._names(inside.ct, change._replace(new=change.new._replace(nameservers=())), []))
    assert inside.record.former == {NAME: [former.NOTHING], former.UNAME: [former.CALLED, "ct101"]}
