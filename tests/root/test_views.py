"""The files of the server as the daemon has them made, with a keeper that is played by the test."""

import asyncio
import os
import signal
import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from hostd.cgroup.tree import CgroupTree
from hostd.config.paths import Paths
from hostd.container import views
from hostd.container.views import Views
from hostd.keeper.helper import spawn
from hostd.kernel.fd import Fd
from hostd.kernel.fuse import new_connection
from hostd.kernel.mount import move_mount
from hostd.kernel.process import Process
from hostd.proc.points import CPU, KERNELS, OPENVZ, POINTS
from tests.harness import machine
from tests.harness.needs import needs
from tests.harness.patience import patient

pytestmark = [pytest.mark.root, needs("fuse")]


class FakeKeeper:
    """*works*: it starts the server that it is asked for."""

    def __init__(self) -> None:
        self.works = True
        self.asked = 0
        self.held: dict[str, Fd] = {}
        self.pid = 0
        self.argv: list[str] = []

    def child(self, name: str, process: object) -> None:
        raise AssertionError(name)

    def hold(self, name: str, fd: Fd) -> None:
        self.held[name] = fd.dup()

    def helper(self, name: str, argv: Sequence[str], held: Sequence[str]) -> None:
        self.asked += 1
        self.argv = list(argv)
        assert tuple(held) == (views.CONNECTION, views.NOTE)
        if self.works:
            self.start_server()

    def forget(self, name: str) -> None:
        if name == views.HELPER and self.pid:
            self.end_server()
        self.held.pop(name, None)

    def start_server(self) -> None:
        self.pid = spawn(self.argv, [self.held[name].fileno() for name in (views.CONNECTION, views.NOTE)], {})

    def end_server(self) -> None:
        pid, self.pid = self.pid, 0
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.fixture
def keeper() -> FakeKeeper:
    return FakeKeeper()


@pytest.fixture
def made(tmp_path: Path, keeper: FakeKeeper) -> Iterator[Views]:
    tree = CgroupTree.detect(f"vzt-{uuid.uuid4().hex[:8]}")
    one = Views(Paths(str(tmp_path)), keeper, tree, {}, offered=True)
    yield one
    asyncio.run(one.leave())
    assert machine.mounts_below(str(tmp_path)) == [] and keeper.held == {}


def test_the_files_are_there_at_once(made: Views, keeper: FakeKeeper) -> None:
    directory = asyncio.run(made.ready())
    assert sorted(os.listdir(directory)) == sorted([*POINTS, OPENVZ])
    assert asyncio.run(made.ready()) == directory and keeper.asked == 1


def test_a_server_that_does_not_answer_is_asked_again_later(
    made: Views, keeper: FakeKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine may have been busy: containers that start meanwhile do not wait, those that start later have it."""
    monkeypatch.setattr(views, "PATIENCE", 0.1)
    keeper.works = False
    assert asyncio.run(made.ready()) == "" and asyncio.run(made.ready()) == ""
    assert keeper.asked == 1 and keeper.held == {}
    monkeypatch.setattr(views, "PATIENCE", patient(30.0))
    monkeypatch.setattr(views, "PAUSE", 0.0)
    keeper.works = True
    assert asyncio.run(made.ready()) != "" and set(made.trees({})) == set(POINTS.values())


def test_each_container_has_directories_of_its_own(made: Views, keeper: FakeKeeper) -> None:
    """Also from a server that is started again meanwhile."""

    async def scene() -> list[dict[str, Fd]]:
        assert await made.own(101, openvz=True) == {}, "there is no server yet"
        await made.ready()
        first = await made.own(101, openvz=True)
        keeper.end_server()
        second = asyncio.ensure_future(made.own(102, openvz=True))
        await asyncio.sleep(0.2)
        assert not second.done()
        keeper.start_server()
        return [first, await second, await made.own(103, openvz=False)]

    first, second, third = asyncio.run(scene())
    assert set(first) == set(second) == {"/proc", CPU} and set(third) == {CPU}
    procs = [f"{own['/proc'].path}/{name}" for own in (first, second) for name in ("", "vz", KERNELS)]
    processors = [f"{own[CPU].path}/{name}" for own in (first, second, third) for name in ("", "cpu0", KERNELS)]
    places = [*procs, *processors]
    assert len({os.stat(place).st_ino for place in places}) == len(places)
    assert set(made.trees(first)) == {"/proc", CPU}
    figures = {point for point in POINTS.values() if point.startswith("/proc/")}
    assert set(made.trees(third)) == {*figures, CPU}
    for own in (first, second, third):
        for tree in own.values():
            tree.close()


def test_a_server_that_is_stuck_keeps_no_container_from_starting(
    made: Views, keeper: FakeKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(made.ready())
    os.kill(keeper.pid, signal.SIGSTOP)
    monkeypatch.setattr(views, "PATIENCE", 0.1)
    assert asyncio.run(made.own(101, openvz=True)) == {}
    monkeypatch.setattr(views, "PATIENCE", 1000.0)
    assert asyncio.run(made.own(102, openvz=True)) == {}, "nor does the next one wait for the same again"
    assert set(made.trees({})) == set(POINTS.values())
    os.kill(keeper.pid, signal.SIGCONT)


def test_nobody_waits_while_the_mounts_of_a_guest_are_read(made: Views, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have a hundred thousand."""
    others = threading.Event()
    waited = []

    def long(mountinfo: str) -> dict[str, str]:
        waited.append(others.wait(4))
        return {}

    async def scene() -> None:
        asyncio.get_running_loop().call_soon(others.set)
        ct = SimpleNamespace(process=Process.open(os.getpid()))
        await made._renew(ct)  # type: ignore[arg-type]

    monkeypatch.setattr(views, "stale", long)
    asyncio.run(scene())
    assert waited == [True]


def test_half_of_what_the_keeper_was_to_hold_is_nothing(tmp_path: Path, keeper: FakeKeeper) -> None:
    """The daemon was killed between the two: no server can be started with the one."""
    tree = CgroupTree.detect(f"vzt-{uuid.uuid4().hex[:8]}")
    paths = Paths(str(tmp_path))
    connection, mount = new_connection(views.NAME)
    os.makedirs(paths.views_dir)
    with mount:
        move_mount(mount, paths.views_dir)
    keeper.hold(views.CONNECTION, connection)
    next_one = Views(paths, keeper, tree, {views.CONNECTION: connection}, offered=True)

    async def scene() -> None:
        await next_one.take_over(())
        assert await next_one.ready() != "" and set(keeper.held) == {views.CONNECTION, views.NOTE}
        await next_one.leave()

    asyncio.run(scene())
    assert machine.mounts_below(str(tmp_path)) == [] and keeper.asked == 1
