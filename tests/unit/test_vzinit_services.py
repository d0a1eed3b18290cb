"""The order of starts and stops, and what is said of jobs: without processes, which the test ends as it likes."""

from collections.abc import Callable

import pytest

from vzinit import cgroup, processes, reaper, service, services
from vzinit.loop import Loop
from vzinit.plan import BootPlan, Command, ServicePlan
from vzinit.service import ACTIVE, FAILED, OVER, STARTING, STOPPED, STOPPING, WAITING, Service
from vzinit.services import Services


class FakeConsole:
    slave = -1

    def log(self, text: str) -> None:
        pass


class FakeProcesses:
    """Nothing runs: what was to be run is ended by the test."""

    def __init__(self, loop: Loop, plan: ServicePlan, around: object, on_main_end: Callable[[int, int], None]) -> None:
        self.plan = plan
        self.main_ended = on_main_end
        self.main = self.control = 0
        self.group = ""
        self.result = ""
        self.alive = False
        self.worked: Callable[[], None] = lambda: None
        self.failed: Callable[[str, int, int], None] | None = None

    def run(
        self,
        commands: list[Command],
        then: Callable[[], None],
        failed: Callable[[str, int, int], None] | None = None,
        stays: bool = False,
    ) -> None:
        self.worked, self.failed = then, failed
        if not commands:
            then()
        elif stays:
            self.main, self.alive = 1, True

    def left(self) -> bool:
        return self.alive

    def signal(self, number: int) -> None:
        pass

    def guess(self) -> None:
        pass

    def forget(self) -> None:
        self.main = self.control = 0

    def end(self) -> None:
        """Nobody is left."""
        self.alive = False


class World:
    """Services of which the test is the processes."""

    def __init__(self, *plans: ServicePlan) -> None:
        self.loop = Loop(lambda _where, error: pytest.fail(repr(error)))
        self.running: list[list[str]] = []
        self.services = Services(self.loop, FakeConsole(), self.running.append)  # type: ignore[arg-type]
        self.told: list[tuple[str, str]] = []
        found = BootPlan()
        found.services = list(plans)
        self.services._planned(found, lambda: None)

    def __getitem__(self, name: str) -> Service:
        return self.services.table[name]

    def fakes(self, name: str) -> FakeProcesses:
        found = self[name].processes
        assert isinstance(found, FakeProcesses)
        return found

    def works(self, name: str) -> None:
        """What runs of *name* has ended well; of a main process: it runs."""
        self.fakes(name).worked()

    def fails(self, name: str) -> None:
        failed = self.fakes(name).failed
        assert failed
        failed("exit-code", 1, 0)

    def ends(self, name: str) -> None:
        """Nobody is left of it."""
        self.fakes(name).end()
        self[name]._await_gone()

    def something_else_happens(self) -> None:
        """Any other service changes: everybody is looked at."""
        self.services._changed()

    def start(self, *names: str) -> None:
        self.services.start(list(names), names[-1], lambda result: self.told.append((names[-1], result)))

    def stop(self, *names: str) -> None:
        self.services.halt(list(names), names[0], lambda result: self.told.append((names[0], result)))


@pytest.fixture(autouse=True)
def without_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "Processes", FakeProcesses)
    monkeypatch.setattr(services, "open_logs", lambda _loop: None)


def made(name: str, kind: str = "notify", **others: object) -> ServicePlan:
    return ServicePlan(name, kind, [Command(["/bin/x"])], grouped=True, **others)


def needing(name: str) -> ServicePlan:
    """A service that requires *name* and comes after it."""
    return made("needs.service", requires=[name], after=[name])


def test_what_comes_after_a_failed_start_waits_until_nothing_is_left_of_it() -> None:
    world = World(made("a.service"), made("later.service", after=["a.service"]), needing("a.service"))
    world.fails("a.service")
    world.something_else_happens()
    assert world["a.service"].state == STOPPING
    assert world["later.service"].state == world["needs.service"].state == WAITING
    world.ends("a.service")
    assert (world["a.service"].state, world["later.service"].state) == (FAILED, STARTING)
    assert (world["needs.service"].state, world["needs.service"].result) == (STOPPED, "dependency")


def test_what_is_down_by_itself_holds_up_nobody() -> None:
    """It was up: its start is over, however its end goes."""
    world = World(made("a.service"), made("slow.service"), made("b.service", after=["a.service", "slow.service"]))
    world["a.service"].ready()
    world.works("a.service")
    assert world["a.service"].state == ACTIVE
    world.fakes("a.service").main_ended(1, 0)
    assert world["a.service"].state == STOPPING
    world["slow.service"].ready()
    assert world["b.service"].state == STARTING


def test_a_failure_goes_on_to_those_that_require_who_requires_it() -> None:
    last = made("last.service", requires=["needs.service"], after=["needs.service"])
    world = World(made("a.service"), needing("a.service"), last)
    world.fails("a.service")
    world.ends("a.service")
    assert [world[name].result for name in ("needs.service", "last.service")] == ["dependency", "dependency"]


def test_a_start_that_is_tried_again_has_failed_for_who_requires_it() -> None:
    """As with systemd: Restart= does not make its dependents wait."""
    world = World(made("a.service", restart="always", restart_delay=100.0), needing("a.service"))
    world.fails("a.service")
    world.ends("a.service")
    assert world["a.service"].restarts
    assert world["needs.service"].result == "dependency"


def test_a_new_start_forgets_what_was() -> None:
    world = World(made("a.service"), needing("a.service"))
    world.fails("a.service")
    world.ends("a.service")
    world.start("a.service", "needs.service")
    world["a.service"].ready()
    assert world["needs.service"].state == STARTING


def test_a_oneshot_is_over_when_it_is_down() -> None:
    once = made("once.service", "oneshot")
    world = World(once, made("later.service", after=["once.service"]))
    world.fakes("once.service").alive = True
    world.works("once.service")
    world.something_else_happens()
    assert (world["once.service"].state, world["later.service"].state) == (STOPPING, WAITING)
    world.ends("once.service")
    assert (world["once.service"].state, world["later.service"].state) == (STOPPED, STARTING)


def test_the_boot_is_not_over_before_a_failure_is() -> None:
    world = World(made("a.service"))
    world.fails("a.service")
    world.something_else_happens()
    assert world.running == []
    world.ends("a.service")
    assert world.running == [["a.service"]]


def test_a_new_plan_keeps_what_no_unit_file_can_say() -> None:
    """tmpfiles and init scripts came before it, by the boot's plan."""
    first = ServicePlan("tmpfiles", "oneshot", [Command(["/bin/x"])])
    world = World(first, made("a.service", after=["tmpfiles", "b.service"]), made("b.service"))
    world.services.learn([made("a.service", after=["c.service"])], STOPPED)
    assert world["a.service"].plan.after == ["c.service", "tmpfiles"]
    assert world["a.service"].state == WAITING


def test_a_restart_comes_after_what_it_pulls_in() -> None:
    world = World()
    world.services.learn([made("a.service"), needing("a.service")], STOPPED)
    world.services.restart(["needs.service"], ["a.service"], "needs.service", lambda result: None)
    assert (world["a.service"].state, world["needs.service"].state) == (STARTING, WAITING)
    world["a.service"].ready()
    assert world["needs.service"].state == STARTING


def test_a_daemon_of_several_processes_has_ended_with_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them is the main process: the group tells."""
    there = [11, 12]
    monkeypatch.setattr(cgroup, "pids", lambda _path: there)
    monkeypatch.setattr(reaper, "watchers", [])
    world = World(made("a.service", "forking", restart="always", restart_delay=100.0))
    world.fakes("a.service").group = "/a"
    for _ in ("the command has ended", "there is nothing to be done after it"):
        world.works("a.service")
    for left in (2, 1):
        assert (len(there), world["a.service"].state) == (left, ACTIVE)
        there.pop()
        for watcher in [*reaper.watchers]:
            watcher()
    assert world["a.service"].restarts
    assert (world["a.service"].result, reaper.watchers) == ("success", [])


def test_a_daemon_that_leaves_nobody_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "pids", lambda _path: [])
    world = World(made("a.service", "forking"))
    world.fakes("a.service").group = "/a"
    world.works("a.service")
    assert (world["a.service"].state, world["a.service"].result) == (STOPPED, "success")


# What is said of jobs.


def test_a_oneshot_that_has_ended_is_done() -> None:
    world = World()
    world.services.learn([made("once.service", "oneshot")], STOPPED)
    world.start("once.service")
    world.works("once.service")
    assert world.told == [("once.service", "done")]


def test_a_start_on_the_way_down_is_canceled() -> None:
    world = World()
    world.services.learn([made("a.service")], STOPPED)
    world.start("a.service")
    world.services.stop(lambda: None)
    world.ends("a.service")
    assert world["a.service"].state in OVER
    assert world.told == [("a.service", "canceled")]


def test_a_start_takes_the_place_of_a_stop() -> None:
    world = World(made("a.service"))
    world["a.service"].ready()
    world.stop("a.service")
    world.start("a.service")
    assert world.told == [("a.service", "canceled")]
    world.ends("a.service")
    assert world["a.service"].state == STARTING
    world["a.service"].ready()
    assert world.told[1:] == [("a.service", "done")]


def test_who_was_stopped_and_then_lacks_something_says_so() -> None:
    world = World(made("a.service"), needing("a.service"))
    world["a.service"].ready()
    world["needs.service"].ready()
    for name in ("needs.service", "a.service"):
        world.stop(name)
        world.ends(name)
    world.start("a.service", "needs.service")
    world.fails("a.service")
    world.ends("a.service")
    assert world.told[2:] == [("needs.service", "dependency")]


def test_the_fake_is_as_the_real_one() -> None:
    """What a service calls of its processes is there."""
    real = processes.Processes
    assert all(hasattr(real, name) for name in ("run", "left", "signal", "guess", "forget"))
