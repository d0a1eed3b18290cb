"""Fixtures of every test: `vz`, an installation of its own, and the check that a test left nothing behind."""

import os
import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import settings

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tests.harness import machine, needs, trees
from tests.harness.installation import BIN, Vz
from tests.harness.patience import patient

settings.register_profile("vzhost", deadline=None)  # a busy machine is no failure
settings.load_profile("vzhost")


def pytest_configure() -> None:
    trees.prepare()


def pytest_unconfigure() -> None:
    trees.remove()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Root tests touch the machine itself: one worker runs them all.  System tests have a prefix each."""
    for item in items:
        if item.get_closest_marker("root") and not item.get_closest_marker("system"):
            item.add_marker(pytest.mark.xdist_group("root"))
        if (item.get_closest_marker("root") or item.get_closest_marker("system")) and os.getuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A record of which kernel this is, and a skip where the test needs more than it has."""
    if item.get_closest_marker("root") or item.get_closest_marker("system"):
        item.user_properties.append(("kernel", needs.here()))
    for marker in item.iter_markers("needs"):
        needs.require(item, *marker.args)


# Seconds: a loop device goes with the last copy of its mount, which another test's clone may hold, and a busy disk.
PATIENCE = patient(60.0)


@pytest.fixture
def vz() -> Iterator[Vz]:
    """An installation of its own: prefix, network namespace, hostd on demand; checked at the end."""
    assert os.path.exists(f"{BIN}/vzctl"), "no commands in build/bin: run `make build`"
    installation = Vz()
    yield installation
    left = installation.remove()
    assert not left, "left behind:\n" + "\n".join(left)


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """A root test without an installation: no mount, loop or child of its own may outlive it."""
    if request.node.get_closest_marker("root") is None:
        yield
        return
    tmp = os.path.realpath(request.getfixturevalue("tmp_path"))
    before = children()
    yield
    end = time.monotonic() + PATIENCE
    while (left := leftovers(tmp, before)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not left, "left behind:\n" + "\n".join(left)


def leftovers(directory: str, before: set[int]) -> list[str]:
    """Mounts and loop devices below *directory*, and children that were not there *before*."""
    left = [f"mount {point}" for point in machine.mounts_below(directory)]
    left += [f"loop device {name}" for name in machine.loops_below(directory)]
    return left + [f"child {pid}: {' '.join(machine.cmdline(pid))}" for pid in children() - before]


def children() -> set[int]:
    """Our own children that still run."""
    tasks = os.listdir("/proc/self/task")
    pids = {int(pid) for task in tasks for pid in machine.read(f"/proc/self/task/{task}/children").split()}
    return {pid for pid in pids if machine.alive(pid)}
