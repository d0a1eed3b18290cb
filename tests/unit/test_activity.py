"""What containers did so far: from the texts and answers of the kernel to figures, and into the fields of vzlist."""

import struct
from pathlib import Path

import pytest

from hostd.cgroup import notes
from hostd.cgroup.activity import Activity, activity, spent
from hostd.cgroup.hierarchies import Hierarchy
from hostd.cgroup.tree import CgroupTree, CtCgroup
from hostd.command.figures import Done, Usage
from hostd.net import traffic
from hostd.net.traffic import Traffic
from hostd.storage import diskstats
from hostd.storage.diskstats import Transferred
from tests.harness.fake_host import Fake

PSI = "some avg10={} avg60=0.40 avg300=0.10 total=123\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1"


def files(directory: Path, **texts: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (directory / name.replace("__", ".")).write_text(f"{text}\n")


def test_v2(tmp_path: Path) -> None:
    stalls = {f"{name}__pressure": PSI.format(share) for name, share in (("cpu", 12.5), ("memory", 0), ("io", 99.07))}
    files(tmp_path / "vz/101", cpu__stat="usage_usec 2500000\nuser_usec 3", **stalls)
    tree = CgroupTree("vz", (Hierarchy(str(tmp_path), frozenset(), unified=True),))
    assert activity(CtCgroup(tree, 101)) == Activity(2.5, {"cpu": 12.5, "memory": 0.0, "io": 99.07})


def test_hybrid(tmp_path: Path) -> None:
    """Processor time of v1, whose name may be one of several; a kernel without PSI says nothing of it."""
    files(tmp_path / "v1/vz/101", cpuacct__usage="1500000000")
    files(tmp_path / "unified/vz/101", cpu__pressure=PSI.format(1))
    old = Hierarchy(str(tmp_path / "v1"), frozenset({"cpu", "cpuacct"}))
    new = Hierarchy(str(tmp_path / "unified"), frozenset(), unified=True)
    assert activity(CtCgroup(CgroupTree("vz", (old, new)), 101)) == Activity(1.5, {"cpu": 1.0})
    assert activity(CtCgroup(CgroupTree("vz", (old,)), 101)) == Activity(1.5, {})


def test_what_was_before_a_restore_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is saved with it for the next one."""
    files(tmp_path / "vz/101", cpu__stat="usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000")
    files(tmp_path / "v1/vz/101", cpuacct__usage="2500000000", cpuacct__stat="user 200\nsystem 50")
    v2 = CgroupTree("vz", (Hierarchy(str(tmp_path), frozenset(), unified=True),))
    v1 = CgroupTree("vz", (Hierarchy(str(tmp_path / "v1"), frozenset({"cpuacct"})),))
    for tree in (v2, v1):
        cgroup = CtCgroup(tree, 101)
        monkeypatch.setattr(notes, "spent_before", lambda cgroup: (0, 0))
        assert (activity(cgroup).cpu, spent(cgroup)) == (2.5, (2_000_000, 500_000))
        monkeypatch.setattr(notes, "spent_before", lambda cgroup: (60_000_000, 1_000_000))
        assert (activity(cgroup).cpu, spent(cgroup)) == (63.5, (62_000_000, 1_500_000))


def test_of_a_container_that_is_gone(tmp_path: Path) -> None:
    tree = CgroupTree("vz", (Hierarchy(str(tmp_path), frozenset(), unified=True),))
    assert activity(CtCgroup(tree, 101)) == Activity(None, {})
    assert traffic.traffic("vz-none") is None
    assert diskstats.transferred({"loop": "/dev/loop-none", "before": "0 0"}) is None


def test_traffic_is_seen_from_inside() -> None:
    counters = struct.pack("=4Q", 1, 2, 300, 4000) + bytes(8 * 20)
    answer = bytes(16) + struct.pack("=HH", 4 + len(counters), traffic.IFLA_STATS64) + counters
    assert traffic.decode(answer) == Traffic(came=4000, went=300)
    assert traffic.decode(bytes(16)) is None


def test_the_disk_counts_from_its_mounting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diskstats, "_sectors", lambda device: (100, 10))
    note = diskstats.noted("/dev/loop7")
    assert note == {"loop": "/dev/loop7", "before": "100 10"}
    monkeypatch.setattr(diskstats, "_sectors", lambda device: (108, 11))
    assert diskstats.transferred(note) == Transferred(8 * 512, 512)
    assert diskstats.transferred({}) is None


def test_fields(fake: Fake) -> None:
    fake.up(101)
    fake.host.states[101] = fake.host.states[101]._replace(serial=7)
    done = Done(cpu=61.5, read=4096, written=0, came=1, went=2, pressure={"cpu": 2.5})
    fake.host.usages[101] = Usage(done=done)
    fields = "cputime,ioread,iowritten,netin,netout,cpupsi,mempsi,iopsi"
    assert fake.vzlist("-H", "-o", fields).stdout.split() == ["61", "4096", "0", "1", "2", "2.50", "-", "-"]
    said = fake.vzlist("-j", "-o", fields).stdout
    assert '"cputime": 61.500' in said and '"cpupsi": 2.50' in said and '"mempsi": null' in said
    assert '"serial": 7' in fake.vzlist("-j", "-o", "serial").stdout
    assert "cputime" not in fake.vzlist("-j").stdout
    assert all(f"\n{field} " in fake.vzlist("-L").stdout for field in fields.split(","))
