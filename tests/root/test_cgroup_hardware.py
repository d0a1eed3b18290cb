"""Masks, weights, rates and guarantees as this machine's kernel takes them: v1 or v2, as it is mounted."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostd.cgroup import files, guarantees, limits
from hostd.cgroup.limits import NONE, Limits
from hostd.cgroup.tree import CtCgroup
from hostd.config.values import numbers
from hostd.kernel import loop, topology
from hostd.kernel.fd import Fd
from tests.harness.needs import needs

pytestmark = pytest.mark.root


@pytest.fixture
def populated(cgroup: CtCgroup) -> Iterator[CtCgroup]:
    """With a process in it: the kernel refuses such a one what it gives an empty one."""
    limits.apply(cgroup, Limits(cpumask="0", nodemask="0"), NONE)  # v1 takes no process before
    with subprocess.Popen(["sleep", "1000"]) as process:
        for path in cgroup.paths():
            files.write(f"{path}/cgroup.procs", str(process.pid))
        yield cgroup
        process.kill()


def said(cgroup: CtCgroup, v1: tuple[str, str], v2: tuple[str, str]) -> str:
    """The text of a file, named by its controller: of *v1* or of *v2*."""
    controller, name = v2 if cgroup.tree.mode == "v2" else v1
    return Path(cgroup.path(controller) or "", name).read_text().strip()


@needs("cpuset")
@pytest.mark.skipif(topology.online("cpu") == "0", reason="one processor: every mask is the same")
def test_masks(populated: CtCgroup) -> None:
    cgroup, wanted = populated, Limits(cpumask="0", nodemask="0")
    for name in ("cpuset.cpus", "cpuset.mems"):
        assert said(cgroup, ("cpuset", name), ("cpuset", name)) == "0"
    limits.apply(cgroup, NONE, wanted)
    every = ("cpuset", "cpuset.cpus"), ("cpuset", "cpuset.cpus.effective")
    assert said(cgroup, *every) == topology.online("cpu")


@needs("cpuset")
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor: nothing to choose")
def test_seats(populated: CtCgroup) -> None:
    """As many processors as it was given, also for its processes that run; on another where one is taken."""
    cgroup, wanted = populated, Limits(seats=1)
    (pid,) = cgroup.procs()
    other = CtCgroup(cgroup.tree, 102)
    other.create(None)
    try:
        limits.apply(cgroup, wanted, Limits(cpumask="0", nodemask="0"))
        limits.apply(other, wanted, NONE)
        theirs = numbers(Path(other.path("cpuset") or "", "cpuset.cpus").read_text().strip())
        assert len(os.sched_getaffinity(pid)) == len(theirs) == 1 and os.sched_getaffinity(pid) != theirs
        limits.apply(cgroup, NONE, wanted)
        assert os.sched_getaffinity(pid) == numbers(topology.online("cpu"))
    finally:
        other.destroy()


@needs("cgroup1", "cpu")
def test_the_quota_of_a_container_that_has_given_some_inside(cgroup: CtCgroup) -> None:
    """v1 refuses one that is smaller than any below, however deep: deeper than a path may be long, too."""
    if cgroup.tree.mode == "v2":
        pytest.skip("not of v1")
    path, before = cgroup.path("cpu") or "", Limits(cpulimit=800)
    limits.apply(cgroup, before, NONE)
    for name, quota in (("a", "400000"), ("a/b", "300000"), ("c", "50000")):
        os.mkdir(f"{path}/{name}")
        files.write(f"{path}/{name}/cpu.cfs_quota_us", quota)
    with nested(f"{path}/c", 20) as deep:
        files.write(f"{path}/c/cpu.cfs_quota_us", "-1")
        files.write(f"/proc/self/fd/{deep.fileno()}/cpu.cfs_quota_us", "700000")
    limits.apply(cgroup, Limits(cpulimit=100), before)
    found = [files.read(f"{path}/{name}/cpu.cfs_quota_us") for name in (".", "a", "a/b", "c")]
    assert found == ["100000", "-1", "-1", "-1"]


def nested(path: str, depth: int) -> Fd:
    """A cgroup so far below *path*, by directories with long names."""
    here = Fd.open(path, os.O_DIRECTORY)
    for _ in range(depth):
        os.mkdir("x" * 250, dir_fd=here.fileno())
        there = Fd(os.open("x" * 250, os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=here.fileno()))
        here.close()
        here = there
    return here


@pytest.fixture
def device(tmp_path: Path) -> Iterator[str]:
    """MAJOR:MINOR of a loop device."""
    image = tmp_path / "image"
    image.write_bytes(bytes(1 << 20))
    with Fd.open(str(image), os.O_RDWR) as file:
        made = loop.attach(file, direct_io=False)
    number = os.stat(made.path).st_rdev
    yield f"{os.major(number)}:{os.minor(number)}"
    made.detach()


@needs("io", "loop")
def test_rates(cgroup: CtCgroup, device: str) -> None:
    wanted = Limits(iolimit=1 << 20, iopslimit=50, device=device)
    limits.apply(cgroup, wanted, NONE)
    bps = said(cgroup, ("blkio", "blkio.throttle.write_bps_device"), ("io", "io.max"))
    iops = said(cgroup, ("blkio", "blkio.throttle.read_iops_device"), ("io", "io.max"))
    if cgroup.tree.mode == "v2":
        assert bps == f"{device} rbps=1048576 wbps=1048576 riops=50 wiops=50"
    else:
        assert (bps, iops) == (f"{device} 1048576", f"{device} 50")
    limits.apply(cgroup, Limits(iopslimit=50, device=device), wanted)
    limits.apply(cgroup, Limits(device=device))
    assert said(cgroup, ("blkio", "blkio.throttle.write_bps_device"), ("io", "io.max")) == ""


@needs("io", "loop")
def test_the_least_rates(cgroup: CtCgroup, device: str) -> None:
    """io.max of v2 wants two."""
    limits.apply(cgroup, Limits(iolimit=1, iopslimit=1, device=device), NONE)
    if cgroup.tree.mode == "v2":
        assert files.read(f"{cgroup.path('io')}/io.max") == f"{device} rbps=2 wbps=2 riops=2 wiops=2"
    else:
        assert files.read(f"{cgroup.path('blkio')}/blkio.throttle.read_iops_device") == f"{device} 1"


@needs("io")
def test_weights(cgroup: CtCgroup) -> None:
    path = cgroup.path("io" if cgroup.tree.mode == "v2" else "blkio") or ""
    names = ("blkio.bfq.weight", "io.bfq.weight", "io.weight")
    limits.apply(cgroup, Limits(ioprio=0), NONE)
    found = [Path(path, name) for name in names if os.path.exists(f"{path}/{name}")]
    assert [file.read_text().split()[-1] for file in found] == ["64"] * len(found)
    limits.apply(cgroup, NONE, Limits(ioprio=0))
    assert [file.read_text().split()[-1] for file in found] == ["100"] * len(found)
    if not found:
        pytest.skip("this kernel weighs no I/O: neither BFQ nor iocost")


@needs("cgroup2", "memory")
def test_guarantees(cgroup: CtCgroup) -> None:
    wanted = Limits(kept_low=8 << 20, kept_min=4 << 20)
    limits.apply(cgroup, wanted, NONE)
    own = Path(cgroup.path("memory") or "")
    for name, value in (("memory.low", 8 << 20), ("memory.min", 4 << 20)):
        assert (own / name).read_text().strip() == (own.parent / name).read_text().strip() == str(value)
    limits.apply(cgroup, NONE, wanted)
    assert (own.parent / "memory.low").read_text().strip() == "0"
    limits.apply(cgroup, wanted, NONE)
    cgroup.destroy()
    guarantees.settle(cgroup.tree)
    assert (own.parent / "memory.min").read_text().strip() == "0"
