"""A change of a running container on fakes: that others are served meanwhile, and that all of it is taken back."""

import asyncio
import json
import threading
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hostd.cgroup.limits import Limits
from hostd.config.model import GlobalConfig, effective
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf
from hostd.container import device_filter, device_nodes, devices, inner_limits, socket_limits
from hostd.container.container import Container
from hostd.container.devices import Device
from hostd.container.inner_limits import Row
from hostd.container.ops import apply, keys, logins, password, undo
from hostd.container.ops.apply import LiveChange
from hostd.container.ops.undo import Undo
from hostd.container.record import Record
from hostd.container.world import World
from hostd.errors import Failure
from hostd.kernel.device_program import DeviceRule
from hostd.userdata.logins import Logins
from hostd.userdata.sshkeys import PublicKey


def test_others_are_served_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is set, and when it is taken back: moving a gigabyte to swap is no reason to keep others waiting."""
    served = threading.Event()

    def slowly(*_: object) -> None:
        assert served.wait(10), "nobody else was served"

    monkeypatch.setattr(apply, "set_limits", slowly)
    monkeypatch.setattr(undo, "take_back_limits", slowly)
    tree = SimpleNamespace(v1_roots=(), unified_root="")
    ct = Container(cast(World, SimpleNamespace(tree=tree)), 101, Record(ctid=101))
    old = effective(101, VeConf(), GlobalConfig.from_conf(Paths("/nowhere"), VeConf()))
    change = LiveChange(old, old._replace(ram=1 << 20), (), ())

    async def change_and_back() -> None:
        undos: list[Undo] = []
        asyncio.get_running_loop().call_later(0.01, served.set)
        await apply._limits(ct, change, undos)
        served.clear()
        asyncio.get_running_loop().call_later(0.01, served.set)
        await undos[0]()

    asyncio.run(change_and_back())


class Box:
    """A container whose limits are figures; of its RAM *stuck* cannot be taken back."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, stuck: str = "") -> None:
        self.ram: list[int | None] = []
        self.stuck = {"PHYSPAGES and SWAPPAGES": Failure(1, stuck)} if stuck else {}
        self.told: list[str] = []
        paths = Paths(str(directory))
        tree = SimpleNamespace(v1_roots=(), unified_root="")
        self.record = Record(ctid=101, live={"PHYSPAGES": "", "NUMPROC": "9"})
        self.ct = Container(cast(World, SimpleNamespace(tree=tree, paths=paths)), 101, self.record)
        old = effective(101, VeConf(), GlobalConfig.from_conf(paths, VeConf()))
        texts = {"PHYSPAGES": "0:256", "NUMPROC": "10"}
        self.change = LiveChange(old, old._replace(ram=1 << 20, numproc=10), (), (), texts, Logins({"ann": "a"}))
        monkeypatch.setattr(apply, "set_limits", lambda cgroup, limits, previous: self.ram.append(limits.ram))
        monkeypatch.setattr(undo, "take_back_limits", self.take_back)

    def take_back(self, cgroup: object, wanted: Limits, previous: Limits) -> dict[str, Failure]:
        self.ram.append(wanted.ram)
        return self.stuck

    def apply(self) -> None:
        asyncio.run(apply.apply(self.ct, self.change, self.told.append))


async def refuse(*_: object) -> None:
    raise Failure(74, "Password change failed", hint="why")


def test_limits_are_taken_back_when_a_login_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what runs is told as it was, for the next set."""
    box = Box(tmp_path, monkeypatch)
    monkeypatch.setattr(password, "change", refuse)
    with pytest.raises(Failure, match="Password change failed"):
        box.apply()
    assert box.ram == [1 << 20, None]
    assert box.record.live == {"PHYSPAGES": "", "NUMPROC": "9"}
    assert (box.record.intent, box.record.setting) == ("", {}) and box.told == []


def test_what_cannot_be_taken_back_is_told_and_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RAM that was filled meanwhile; NUMPROC is as it was."""
    box = Box(tmp_path, monkeypatch, stuck="250 are in use")
    monkeypatch.setattr(password, "change", refuse)
    with pytest.raises(Failure) as raised:
        box.apply()
    stays = "PHYSPAGES and SWAPPAGES could not be taken back: 250 are in use"
    assert raised.value.message == f"Password change failed; {stays}"
    assert (raised.value.exit_code, raised.value.hint) == (74, "why") and box.told == []
    assert box.record.live == {"PHYSPAGES": "0:256", "NUMPROC": "9"} and box.record.intent == ""
    assert json.loads(Path(box.ct.world.paths.ct_record(101)).read_text())["live"] == box.record.live


def test_what_stays_of_limits_that_were_refused_is_told_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RAM was raised and filled when a later limit was refused."""
    box = Box(tmp_path, monkeypatch, stuck="250 are in use")

    def half(*_: object) -> None:
        raise Failure(6, "cannot set IOLIMIT")

    monkeypatch.setattr(apply, "set_limits", half)
    with pytest.raises(Failure) as raised:
        box.apply()
    stays = "PHYSPAGES and SWAPPAGES could not be taken back: 250 are in use"
    assert raised.value.message == f"cannot set IOLIMIT; {stays}"
    assert box.record.live == {"PHYSPAGES": "0:256", "NUMPROC": "9"}


def test_an_inner_limit_that_cannot_be_taken_back_is_told_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was refused is as it was, whatever its taking back says."""

    def put(key: str, *refused: int | None) -> Row:
        async def act(ct: Container, limit: int | None) -> None:
            if limit in refused:
                raise OSError(16, "in the way")

        return Row(key, lambda config: config.numproc if key != "NUMFILE" else config.ram, act)

    rows = (put("NUMPTY"), put("SHMPAGES", None), put("NUMFILE", None, 1 << 20))
    monkeypatch.setattr(inner_limits, "ROWS", rows)
    box = Box(tmp_path, monkeypatch)
    texts = {"NUMPTY": "10", "SHMPAGES": "10", "NUMFILE": "11"}
    box.change = box.change._replace(texts=texts)
    with pytest.raises(Failure) as raised:
        box.apply()
    stays = "SHMPAGES could not be taken back: cannot set SHMPAGES to unlimited: in the way"
    assert raised.value.message == f"cannot set NUMFILE to 1048576: in the way; {stays}"
    assert box.record.live == {"PHYSPAGES": "", "NUMPROC": "9", "SHMPAGES": "10"}


def test_a_node_that_cannot_be_made_again_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(inside: object, device: object) -> None:
        raise Failure(86, f"cannot change {device}")

    monkeypatch.setattr(device_nodes, "make", refuse)
    monkeypatch.setattr(device_nodes, "remove", refuse)
    monkeypatch.setattr(device_nodes, "root_of", lambda pidfd: nullcontext())
    gone, come = cast(list[Device], ["/dev/a", "/dev/b"]), cast(list[Device], ["/dev/c"])
    ct = cast(Container, SimpleNamespace(ctid=101, record=None, process=SimpleNamespace(pidfd=None)))
    told = asyncio.run(device_nodes.take_back(ct, gone, come))
    assert [failure.message for failure in told] == ["cannot change /dev/a", "cannot change /dev/b"]


def test_who_gives_up_is_told_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box(tmp_path, monkeypatch, stuck="250 are in use")

    async def scene() -> None:
        waits = asyncio.Event()

        async def hang(*_: object) -> None:
            waits.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(password, "change", hang)
        applying = asyncio.ensure_future(apply.apply(box.ct, box.change, box.told.append))
        await waits.wait()
        applying.cancel()
        await asyncio.wait((applying,))
        assert applying.cancelled()

    asyncio.run(scene())
    assert box.told == ["Warning: PHYSPAGES and SWAPPAGES could not be taken back: 250 are in use"]
    assert box.record.live["PHYSPAGES"] == "0:256"


def test_a_record_that_cannot_be_written_tells_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box(tmp_path, monkeypatch)
    box.change = box.change._replace(logins=Logins())
    save = Record.save

    def full(record: Record, paths: Paths) -> None:
        if not record.intent:
            raise OSError(28, "No space left on device", "there")
        save(record, paths)

    monkeypatch.setattr(Record, "save", full)
    with pytest.raises(OSError, match="No space"):
        box.apply()
    assert box.ram == [1 << 20, None] and box.record.live == {"PHYSPAGES": "", "NUMPROC": "9"}


def test_keys_that_stay_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def add(*_: object) -> None:
        pass

    async def full(*_: object) -> None:
        raise Failure(74, "Password change failed: no space")

    monkeypatch.setattr(keys, "add", add)
    monkeypatch.setattr(password, "change", full)
    ct = Container(cast(World, SimpleNamespace()), 101)
    for added, text in (((PublicKey("k", "line"),), "Password change failed: no space; the keys were added"),
                       ((), "Password change failed: no space")):  # fmt: skip
        with pytest.raises(Failure) as raised:
            asyncio.run(logins.change(ct, Logins({"ann": "a"}, added)))
        assert raised.value.message == text


def test_a_set_that_was_cut_off_leaves_what_runs_on_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next hostd cannot lower RAM either: the next set has to begin from what there is."""
    box = Box(tmp_path, monkeypatch, stuck="250 are in use")
    box.record.intent, box.record.setting = "set", {"PHYSPAGES": "0:256", "NUMPROC": "10"}
    globals = GlobalConfig.from_conf(box.ct.world.paths, VeConf())
    box.ct.world.load_globals = lambda: globals  # type: ignore[misc]
    monkeypatch.setattr(socket_limits, "put", lambda *_: None)
    monkeypatch.setattr(device_filter, "protect", lambda *_: None)
    monkeypatch.setattr(Container, "netns", lambda ct: nullcontext())
    asyncio.run(apply.settle(box.ct, box.change.new))
    assert box.ram == [None] and box.record.live == {"PHYSPAGES": "0:256", "NUMPROC": "9"}
    assert (box.record.intent, box.record.setting) == ("", {})


@pytest.mark.parametrize("running", ["tun:on", ""])
def test_a_set_that_was_cut_off_leaves_the_features_of_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, running: str
) -> None:
    """The file may have others, which wait for a restart."""
    box = Box(tmp_path, monkeypatch)
    box.record.live["FEATURES"] = running
    globals = GlobalConfig.from_conf(box.ct.world.paths, VeConf())
    box.ct.world.load_globals = lambda: globals  # type: ignore[misc]
    attached: list[tuple[DeviceRule, ...]] = []
    monkeypatch.setattr(device_filter, "protect", lambda cgroup, rules: attached.append(rules))
    monkeypatch.setattr(socket_limits, "put", lambda *_: None)
    monkeypatch.setattr(Container, "netns", lambda ct: nullcontext())
    asyncio.run(apply.settle(box.ct, effective(101, VeConf.parse('FEATURES="fuse:on"\n'), globals)))
    assert attached == [(DeviceRule("c", devices.TUN.major, devices.TUN.minor, "rwm", True),) if running else ()]


def test_a_set_that_was_cut_off_brings_no_later_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of vz.conf that was not there at the start: what is on record says that it runs without."""
    box = Box(tmp_path, monkeypatch)
    globals = GlobalConfig.from_conf(box.ct.world.paths, VeConf.parse('PHYSPAGES="0:65536"\n'))
    box.ct.world.load_globals = lambda: globals  # type: ignore[misc]
    for module, name in ((device_filter, "protect"), (socket_limits, "put")):
        monkeypatch.setattr(module, name, lambda *_: None)
    monkeypatch.setattr(Container, "netns", lambda ct: nullcontext())
    asyncio.run(apply.settle(box.ct, effective(101, VeConf(), globals)))
    assert box.ram == [None]
