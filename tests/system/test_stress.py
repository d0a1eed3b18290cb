"""One container takes all it can get of something; its neighbours and the host go on as if nothing were.

Nothing here is about time (`python -m tests.bench.neighbours` measures that): the hog is refused by its own limit, that
is counted where the kernel counts, nobody else is refused anything, and it can be stopped like any other.
"""

import os
from collections.abc import Iterator
from functools import partial

import pytest

from tests.harness import leaks, machine
from tests.harness.installation import Vz
from tests.harness.needs import needs
from tests.harness.patience import patient
from tests.harness.stresses import LIMITS, STRESSES, Stress

pytestmark = [pytest.mark.system, pytest.mark.slow, needs("memory", "swap-accounting", "pids", "cpu", "socket-limits")]

MIB = 1 << 20
HOG, NEIGHBOURS = 101, (102, 103)
# What exec says at a fork bomb; the second where a busy host leaves PID 1 no time among so many.
WHY_NOT = ("numproc is reached: CT 101 may have ", "no answer from the container's init: exec was not answered ")
REFUSALS = ("numproc.f", "physpages.f", "swappages.f")  # what a neighbour has none of


@pytest.fixture
def quiet(vz: Vz) -> Iterator[Vz]:
    """An installation with two neighbours that do nothing."""
    for ctid in NEIGHBOURS:
        vz.start(ctid)
    yield vz


@pytest.mark.parametrize("stress", STRESSES, ids=lambda stress: stress.name)
def test_nobody_else_notices(quiet: Vz, stress: Stress) -> None:
    vz = quiet
    vz.create(HOG, *stress.disk, template=stress.template)
    vz.ctl("set", str(HOG), *LIMITS, "--save")
    vz.ctl("start", str(HOG))
    before = survivors(vz)
    sizes = logs(vz), memory(vz)
    filled(vz, stress)
    machine.until("it is counted", lambda: all(figures(vz, HOG, *stress.refused)))
    for (field, least), number in zip(stress.held, figures(vz, HOG, *dict(stress.held)), strict=True):
        assert number >= least, field
    assert survivors(vz) == before
    for ctid in NEIGHBOURS:
        vz.ctl("exec2", str(ctid), "echo one >/root/one && sync -f /root/one && true | true")
        assert figures(vz, ctid, *REFUSALS) == [0, 0, 0]
    assert logs(vz) - sizes[0] < MIB // 8
    assert memory(vz) - sizes[1] < 16 * MIB
    vz.ctl("stop", str(HOG))
    machine.until("nothing is left of it", partial(gone, vz))
    assert survivors(vz) == before and all(map(vz.answers, NEIGHBOURS))


def filled(vz: Vz, stress: Stress) -> None:
    """The hog has all it can get, and holds it."""
    hog = vz.popen("vzctl", "exec2", str(HOG), stress.command)
    assert hog.stdout is not None and hog.stderr is not None
    if hog.stdout.readline() != "full\n":
        raise AssertionError(f"exit {hog.wait()}: {hog.stderr.read()}\n{vz.log_tail()}")


def survivors(vz: Vz) -> list[object]:
    """Who must live through it: PID 1 of the neighbours, keeper and daemon."""
    return [*(vz.uptime_clock(ctid) for ctid in NEIGHBOURS), vz.keeper_pid, vz.daemon_pid]


def figures(vz: Vz, ctid: int, *fields: str) -> list[int]:
    return [int(word) for word in vz.vzlist("-H", "-o", ",".join(fields), str(ctid)).split()] if fields else []


def logs(vz: Vz) -> int:
    """Bytes."""
    return sum(os.path.getsize(path) for path in (vz.paths.log_file, vz.paths.hostd_log))


def memory(vz: Vz) -> int:
    """Bytes that keeper and daemon have in RAM."""
    texts = (machine.read(f"/proc/{pid}/status") for pid in (vz.keeper_pid, vz.daemon_pid))
    lines = [line for text in texts for line in text.splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) << 10


def gone(vz: Vz) -> bool:
    return not leaks.of_container(vz.prefix, vz.paths.cgroup_root, HOG)


def test_an_administrator_at_a_fork_bomb(quiet: Vz) -> None:
    """exec gets in or says in one line why not; the container can be listed, set and stopped."""
    vz = quiet
    vz.start(HOG, template=STRESSES[0].template)
    vz.ctl("set", str(HOG), *LIMITS, "--save")
    vz.ctl("set", str(HOG), "--ram", "256M", "--save")  # it is the number that runs out
    filled(vz, STRESSES[0])
    for _ in range(5):
        said = vz.ctl("exec2", str(HOG), "true", check=None, timeout=patient(60))
        assert said.code == 0 or (said.stderr.startswith(WHY_NOT) and len(said.stderr.splitlines()) == 1)
    assert vz.status(HOG) == "exist mounted running"
    vz.ctl("set", str(HOG), "--numproc", "120")
    vz.ctl("stop", str(HOG))
    assert vz.status(HOG) == "exist unmounted down"
