"""Refusals of a real cgroup: counted, and on v2 told by the kernel."""

import select
import subprocess
import uuid
from pathlib import Path

import pytest

from hostd.cgroup import alarm as alarms
from hostd.cgroup import limits, stats
from hostd.cgroup.alarm import Alarm
from hostd.cgroup.hierarchies import mounted
from hostd.cgroup.limits import Limits
from hostd.cgroup.pressure import RESOURCES, pressure
from hostd.cgroup.tree import CgroupTree, CtCgroup
from tests.harness import machine
from tests.harness.needs import needs
from tests.harness.patience import patient

pytestmark = pytest.mark.root


def refuse(cgroup: CtCgroup) -> None:
    """NUMPROC refuses a process."""
    limits.apply(cgroup, Limits(numproc=2))
    enter = f"echo 0 >{cgroup.path('pids')}/cgroup.procs"
    subprocess.run(["sh", "-c", f"{enter}; sleep 0 & sleep 0 & sleep 0 & wait"], stderr=subprocess.DEVNULL, check=False)


@needs("pids")
def test_what_is_refused_is_counted(cgroup: CtCgroup) -> None:
    before = stats.failures(cgroup)
    assert before["numproc"] == 0 and set(before) >= {"numproc", "physpages", stats.OOM_KILLS}
    assert not set(before) & {"shmpages", "dcachesize"}
    refuse(cgroup)
    assert stats.failures(cgroup)["numproc"] > 0


@needs("cgroup2", "pids")
def test_the_alarm_rings_once_for_each_change(cgroup: CtCgroup) -> None:
    alarm = Alarm()
    try:
        assert alarm.watch(cgroup)
        assert not rings(alarm, 0.1)
        refuse(cgroup)
        assert rings(alarm, patient(5))
        alarm.stop()
        assert not rings(alarm, 0.1)
        alarm.leave(101)
        refuse(cgroup)
        assert not rings(alarm, 0.1)
    finally:
        alarm.close()


@needs("memory", "swap-accounting")
def test_being_killed_for_memory_rings_everywhere(cgroup: CtCgroup) -> None:
    limits.apply(cgroup, Limits(ram=16 << 20, swap=0))
    alarm = Alarm()
    try:
        assert alarm.watch_kills(cgroup) and not rings(alarm, 0.1)
        enter = f"echo 0 >{cgroup.path('memory')}/cgroup.procs"
        subprocess.run(["sh", "-c", f"{enter}; head -c 100m /dev/zero | tail"], check=False, capture_output=True)
        assert rings(alarm, patient(5))
        assert stats.kills(cgroup) >= 1
        alarm.stop()
        assert not rings(alarm, 0.1)
        cgroup.destroy()

        def silent() -> bool:
            """v1 rings once more, when it gets around to it."""
            alarm.stop()
            return not rings(alarm, 0.1)

        machine.until("a cgroup that is gone does not ring for ever", silent)
    finally:
        alarm.close()


@needs("cgroup2")
def test_a_cgroup_that_goes_does_not_ring_for_ever(cgroup: CtCgroup) -> None:
    alarm = Alarm()
    try:
        assert alarm.watch(cgroup)
        cgroup.destroy()
        for _ in range(3):
            alarm.stop()
        assert not rings(alarm, 0.1)
    finally:
        alarm.close()


@needs("unified")
def test_the_alarm_on_the_one_file_that_a_hybrid_host_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """cgroup.events, in the place of the files of controllers that are not there."""
    monkeypatch.setattr(alarms, "_paths", lambda cgroup, names: [f"{cgroup.paths()[-1]}/cgroup.events"])
    tree = CgroupTree(f"vzt-{uuid.uuid4().hex[:8]}", tuple(h for h in mounted() if h.unified))
    group = CtCgroup(tree, 101)
    group.create(None)
    alarm = Alarm()
    process = subprocess.Popen(["sleep", "1000"])
    try:
        assert alarm.watch(group) and not rings(alarm, 0.1)
        Path(group.paths()[-1], "cgroup.procs").write_text(str(process.pid))
        assert rings(alarm, patient(5))
        alarm.stop()
        assert not rings(alarm, 0.1)
        process.kill()
        assert rings(alarm, patient(5))
        group.destroy()
        alarm.stop()
        alarm.stop()
        assert not rings(alarm, 0.1)
    finally:
        process.kill()
        process.wait()
        alarm.close()
        group.destroy()
        tree.remove()


@needs("cgroup1")
def test_v1_gives_no_sign(cgroup: CtCgroup) -> None:
    alarm = Alarm()
    assert not alarm.watch(cgroup)
    alarm.close()


def rings(alarm: Alarm, timeout: float) -> bool:
    poll = select.poll()
    poll.register(alarm, select.POLLIN)
    return bool(poll.poll(timeout * 1000))


@needs("unified")
def test_pressure(cgroup: CtCgroup) -> None:
    found = pressure(cgroup)
    if not Path("/proc/pressure/cpu").exists():
        assert found == {}
        return
    assert set(found) == set(RESOURCES)
    assert set(found["cpu"]["some"]) == {"avg10", "avg60", "avg300", "total"}
    assert found["memory"]["full"]["total"] == int(found["memory"]["full"]["total"])


def test_pressure_of_what_is_gone(cgroup: CtCgroup) -> None:
    cgroup.destroy()
    assert pressure(cgroup) == {}
