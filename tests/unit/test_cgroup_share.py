"""The weight of all containers together against the host's, on trees of files: v1 and v2."""

import asyncio
import errno
import logging
import os
import shutil
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hostd.cgroup import control, files, limits, share
from hostd.cgroup.hierarchies import Hierarchy
from hostd.cgroup.limits import NONE, Limits
from hostd.cgroup.share import Scale
from hostd.cgroup.tree import CgroupTree, CtCgroup
from hostd.container import host_side
from hostd.container.run import Run
from hostd.errors import BadConfig, Failure

V1 = partial(Hierarchy, controllers=frozenset({"cpu"}))
V2 = partial(Hierarchy, controllers=frozenset(), unified=True)


class Host:
    """A machine with our directory in its hierarchy, and VE0CPUUNITS."""

    def __init__(self, top: Path, version: str) -> None:
        self.root, self.units, self.broken = top / "vz", 1000, False
        self.scale: Scale = share.V2 if version == "v2" else share.V1
        self.put(".")
        (self.root / "cgroup.subtree_control").write_text("cpu\n")
        self.hierarchies = (V2(str(top)) if version == "v2" else V1(str(top)),)
        self.tree = self.daemon()

    def daemon(self) -> CgroupTree:
        """As a new one sees it."""
        return CgroupTree("vz", self.hierarchies, self.host_units)

    def host_units(self) -> int:
        if self.broken:
            raise BadConfig("vz.conf:1: VE0CPUUNITS")
        return self.units

    def put(self, name: str) -> None:
        (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / name / self.scale.name).write_text(f"{self.scale.default}\n")

    def start(self, ctid: int, units: int) -> None:
        self.put(str(ctid))
        host_side.set_limits(CtCgroup(self.tree, ctid), Limits(cpuunits=units), NONE)

    def stop(self, ctid: int) -> None:
        shutil.rmtree(self.root / str(ctid))
        asyncio.run(host_side.remove_cgroup(self.run(ctid)))

    def run(self, ctid: int) -> Run:
        world = SimpleNamespace(tree=self.tree)
        return cast(Run, SimpleNamespace(world=world, cgroup=CtCgroup(self.tree, ctid), ct=SimpleNamespace(ctid=ctid)))

    @property
    def ours(self) -> float:
        """The weight of all containers together, where one with 1000 units has 1."""
        return int(files.read(f"{self.root}/{self.scale.name}")) / self.scale.default


@pytest.fixture(params=["v1", "v2"])
def host(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(files, "write", rewrite)
    monkeypatch.setattr(host_side, "_show", lambda cgroup, wanted: None)
    return Host(tmp_path, request.param)


def rewrite(path: str, value: str) -> None:
    """As the kernel: the whole value, and only of a file that is there."""
    if not os.path.exists(path):
        raise FileNotFoundError(errno.ENOENT, "No such file", path)
    Path(path).write_text(f"{value}\n")


def test_each_has_its_units_beside_the_host(host: Host) -> None:
    for ctid, units, sum_ in ((101, 500, 0.5), (102, 1000, 1.5), (103, 2000, 3.5)):
        host.start(ctid, units)
        assert host.ours == sum_
    assert host.scale.default / (host.scale.default + host.ours * host.scale.default) == pytest.approx(1000 / 4500)


def test_a_set_and_a_stop(host: Host) -> None:
    host.start(101, 1000)
    host.start(102, 1000)
    host_side.set_limits(CtCgroup(host.tree, 101), Limits(cpuunits=4000), Limits())
    assert host.ours == 5
    host_side.take_back_limits(CtCgroup(host.tree, 101), Limits(), Limits(cpuunits=4000))
    assert host.ours == 2
    host.stop(101)
    assert host.ours == 1
    host_side.set_limits(CtCgroup(host.tree, 102), Limits(cpuunits=3000), Limits())
    host.stop(102)
    assert host.ours == 1, "without a container the kernel's default"


def test_the_host_may_have_more_or_less(host: Host) -> None:
    host.units = 4000
    host.start(101, 2000)
    assert host.ours == 0.5
    host.units = 500
    host.tree.share.look()
    assert host.ours == 4


def test_as_far_as_the_kernel_goes(host: Host) -> None:
    host.units = 500000
    host.start(101, 8)
    assert host.ours * host.scale.default == host.scale.least
    host.units = 8
    host.start(102, 500000)
    assert host.ours * host.scale.default == host.scale.most


def test_a_start_that_fails(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later limit is refused; then the start is undone."""
    host.start(101, 1000)
    with pytest.raises(Failure):
        host.put("102")
        host_side.set_limits(CtCgroup(host.tree, 102), Limits(cpuunits=2000, cpumask="0"), NONE)
    assert host.ours == 1
    host.stop(102)
    assert host.ours == 1


def test_a_new_daemon_asks_the_kernel(host: Host) -> None:
    host.start(101, 1000)
    host.start(102, 2000)
    host.put(".")  # a weight of an older version
    host.units = 500
    host.tree = host.daemon()
    host.tree.share.look()
    assert host.ours == 6
    host.tree = host.daemon()
    host.stop(102)  # before it has looked
    assert host.ours == 2


def test_one_file_is_read_for_a_change(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many containers there are."""
    for ctid in range(101, 131):
        host.start(ctid, 1000)
    read, asked = files.read_optional, list[str]()

    def noted(path: str) -> str | None:
        asked.append(path)
        return read(path)

    host.put("131")
    monkeypatch.setattr(files, "read_optional", noted)
    host.tree.share.look(131)
    weights = [path for path in asked if path.endswith(host.scale.name)]
    assert weights == [f"{host.root}/{name}/{host.scale.name}" for name in ("131", ".hostd")] and host.ours == 31


def test_many_at_once(host: Host) -> None:
    threads = [threading.Thread(target=host.start, args=(ctid, 1000)) for ctid in range(101, 121)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert host.ours == 20


def test_hostd_has_at_least_what_it_would_have_by_itself(host: Host) -> None:
    """In a cgroup of its own below ours, when somebody's session has started it."""
    host.put(".hostd")
    host.start(101, 50)
    assert host.ours == 1
    host.start(102, 1500)
    assert host.ours == pytest.approx(1.55, abs=0.01), "idle, as it mostly is, it takes nothing from the host"


def test_what_the_kernel_refuses_is_told_once(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And keeps nobody from starting."""

    def refuse(path: str, value: str) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(control, "write_if_there", refuse)
    with caplog.at_level(logging.WARNING):
        host.start(101, 2000)
        host.start(102, 2000)
    where = f"{host.root}/{host.scale.name}"
    assert [record.getMessage() for record in caplog.records] == [
        f"CPUUNITS do not hold against the host: {where}: Permission denied"
    ]
    assert limits.shares(2000) == 2048 and files.read(f"{host.root}/102/{host.scale.name}") in ("2048", "200")


def test_a_file_that_is_broken_now_has_been_read_before(host: Host) -> None:
    host.units = 500
    host.start(101, 1000)
    host.start(102, 1000)
    host.broken = True
    host.stop(102)
    assert host.ours == 2


def test_only_our_directory_is_written(host: Host) -> None:
    beside = host.root.parent / "system.slice"
    beside.mkdir()
    for place in (beside, host.root.parent):
        (place / host.scale.name).write_text("7\n")
    host.start(101, 3000)
    assert {files.read(f"{place}/{host.scale.name}") for place in (beside, host.root.parent)} == {"7"}


def test_where_there_are_no_weights(tmp_path: Path) -> None:
    """A v2 tree without the controller, and one where no container has been yet."""
    (tmp_path / "vz").mkdir()
    for hierarchy in (V2(str(tmp_path)), V1(f"{tmp_path}/no")):
        CgroupTree("vz", (hierarchy,)).share.look()
    assert os.listdir(tmp_path / "vz") == [] and not os.path.exists(tmp_path / "no")
