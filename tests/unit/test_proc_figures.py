"""A container's figures, from trees of cgroup files as v1 and v2 have them; and who it is that asks."""

import os
import time
from pathlib import Path
from typing import ClassVar

import pytest

from hostd.proc import figures
from hostd.proc.caller import Cgroups, Group, number_in
from hostd.proc.files import Files
from hostd.proc.host import Host, counted
from hostd.proc.load import Loads
from hostd.proc.points import MEMORY, SPENT

MIB = 1 << 20
V1 = {
    "memory": {
        "memory.limit_in_bytes": 256 * MIB, "memory.usage_in_bytes": 100 * MIB,
        "memory.memsw.limit_in_bytes": 384 * MIB, "memory.memsw.usage_in_bytes": 110 * MIB,
        "memory.stat": "cache 1\ntotal_cache 4096\ntotal_rss 8192\ntotal_inactive_file 12288\n",
    },
    "cpu": {"cpu.cfs_quota_us": 150000, "cpu.cfs_period_us": 100000},
    "cpuacct": {"cpuacct.stat": "user 300\nsystem 40\n"},
    "blkio": {
        "blkio.throttle.io_service_bytes_recursive":
            "7:1 Read 4096\n7:1 Write 512\n7:1 Sync 4608\n7:1 Total 4608\nTotal 4608\n",
        "blkio.throttle.io_serviced_recursive": "7:1 Read 2\n7:1 Write 1\n7:1 Total 3\nTotal 3\n",
    },
    "pids": {"pids.current": 12},
    "unified": {"cpu.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500\nfull avg10=0.00 total=0\n"},
}  # fmt: skip
V2 = {
    "unified": {
        "memory.max": 256 * MIB, "memory.current": 100 * MIB, "memory.swap.max": 128 * MIB,
        "memory.swap.current": 10 * MIB,
        "memory.stat": "anon 8192\nfile 4096\ninactive_file 12288\nslab_reclaimable 0\n",
        "cpu.max": "150000 100000",
        "cpu.stat": "usage_usec 3400000\nuser_usec 3000000\nsystem_usec 400000\n",
        "io.stat": "7:1 rbytes=4096 wbytes=512 rios=2 wios=1 dbytes=0 dios=0\n7:2 \n",
        "pids.current": 12,
        "cpu.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500\n",
    },
}  # fmt: skip


class Machine(Host):
    """One with 4 processors, 1 GiB and 64 MiB of swap."""

    def text(self, path: str) -> bytes:
        return {
            "/proc/meminfo":
                b"MemTotal: 1048576 kB\nMemFree: 524288 kB\nMemAvailable: 943718 kB\nSwapTotal: 65536 kB\n",
            "/sys/devices/system/cpu/online": b"0-3\n",
        }[path]


def tree(top: Path, files: "dict[str, dict[str, object]]") -> Group:
    for hierarchy, texts in files.items():
        os.makedirs(top / hierarchy / "vz" / "101", exist_ok=True)
        for name, text in texts.items():
            (top / hierarchy / "vz" / "101" / name).write_text(f"{text}\n")
    return Group(Cgroups("vz", {name: str(top / name) for name in files}), "101")


@pytest.fixture(params=["v1", "v2"])
def group(request: pytest.FixtureRequest, tmp_path: Path) -> Group:
    return tree(tmp_path, V1 if request.param == "v1" else V2)  # type: ignore[arg-type]


def put(group: Group, controller: str, name: str, text: str) -> None:
    Path(f"{group._cgroups.directory(controller, '101')}/{name}").write_text(text)


def test_memory_is_the_limit_and_what_is_used_of_it(group: Group) -> None:
    memory = figures.memory(group, Machine())
    assert (memory.total, memory.free) == (256 * MIB, 156 * MIB)
    assert memory.available == 156 * MIB + 12288
    assert (memory.stat[b"file"], memory.stat[b"anon"]) == (4096, 8192)


def test_swap_is_never_more_than_the_machine_has(group: Group) -> None:
    memory = figures.memory(group, Machine())
    assert (memory.swap_total, memory.swap_used) == (64 * MIB, 10 * MIB) == figures.swap(group, Machine())


def test_without_a_limit_memory_is_the_machine_s(group: Group) -> None:
    for name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"):
        put(group, "memory", name, "9223372036854771712")
    for name in ("memory.max", "memory.swap.max"):
        put(group, "memory", name, "max\n")
    memory = figures.memory(group, Machine())
    assert (memory.total, memory.free, memory.swap_total) == (1024 * MIB, 512 * MIB, 64 * MIB)
    assert memory.available == 943718 << 10, "most of a machine's memory is caches, of which it gives back"


def test_no_more_is_available_than_there_is(group: Group) -> None:
    put(group, "memory", "memory.stat", f"inactive_file {900 * MIB}\ntotal_inactive_file {900 * MIB}\n")
    assert figures.memory(group, Machine()).available == 256 * MIB


@pytest.mark.parametrize(("given", "total", "free"), [(200, 200, 100), (64, 64, 0), (4096, 1024, 512), (0, 256, 156)])
def test_memory_is_what_is_to_be_shown(
    group: Group, monkeypatch: pytest.MonkeyPatch, given: int, total: int, free: int
) -> None:
    """--meminfo, which is never more than the machine has."""
    monkeypatch.setattr(Group, "noted", lambda self, name: {MEMORY: given * MIB}[name])
    memory = figures.memory(group, Machine())
    assert (memory.total, memory.free) == (total * MIB, free * MIB)


@pytest.mark.parametrize(("quota", "count"), [(50000, 1), (150000, 2), (900000, 4), (-1, 4)])
def test_processors_are_what_the_limit_can_keep_busy(group: Group, quota: int, count: int) -> None:
    put(group, "cpu", "cpu.cfs_quota_us", str(quota))
    put(group, "cpu", "cpu.max", f"{quota if quota > 0 else 'max'} 100000\n")
    assert figures.processors(group, Machine(), figures.allowed(group)) == count


def test_processors_are_at_most_those_it_may_run_on(group: Group) -> None:
    put(group, "cpuset" if not group.v1 else "cpu", "cpu.max" if not group.v1 else "cpu.cfs_quota_us", "-1")
    group._cgroups._places.setdefault("cpuset", group._cgroups._places["unified"])
    put(group, "cpuset", "cpuset.effective_cpus", "1,3\n")
    put(group, "cpuset", "cpuset.cpus.effective", "1,3\n")
    assert figures.processors(group, Machine(), figures.allowed(group)) == 2


def test_time_load_and_processes(group: Group) -> None:
    assert figures.busy(group) == (300, 40)
    assert figures.waited(group) == 1_500_000
    assert figures.processes(group) == 12


def test_time_goes_on_after_a_restore(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Group, "noted_text", lambda _, name: {SPENT: b"2500000 70000"}.get(name, b""))
    assert figures.busy(group) == (550, 47)


def test_the_kernel_s_clock_is_its_own_or_the_machine_s(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = {"trusted.vz.born": 90 * 10**9, "trusted.vz.clocks": 1}
    monkeypatch.setattr(Group, "noted", lambda _, name: notes.get(name, 0))
    monkeypatch.setattr(time, "time_ns", lambda: 1000 * 10**9)
    monkeypatch.setattr(time, "clock_gettime_ns", lambda _: 100 * 10**9)
    assert (figures.uptime(group), figures.booted(group)) == (10 * 10**9, 990)
    notes["trusted.vz.clocks"] = 0
    assert (figures.uptime(group), figures.booted(group)) == (10 * 10**9, 900)


def test_a_container_may_be_older_than_the_machine_runs(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was restored here."""
    notes = {"trusted.vz.born": b"-90000000000", "trusted.vz.clocks": b"1"}
    monkeypatch.setattr(Group, "noted_text", lambda _, name: notes.get(name, b""))
    monkeypatch.setattr(time, "time_ns", lambda: 1000 * 10**9)
    monkeypatch.setattr(time, "clock_gettime_ns", lambda _: 10 * 10**9)
    assert (figures.uptime(group), figures.booted(group)) == (100 * 10**9, 900)
    assert group.noted("trusted.vz.cpus") == 0


def test_transfers(group: Group) -> None:
    disk = figures.transfers(group)["7:1"]
    assert (disk.reads, disk.read_bytes, disk.writes, disk.written) == (2, 4096, 1, 512)


def test_files_that_are_not_there_are_no_limits(tmp_path: Path) -> None:
    for names in (V1, V2):
        empty = tree(tmp_path / str(len(names)), {name: {} for name in names})
        assert figures.memory(empty, Machine()).total == 1024 * MIB
        assert figures.processors(empty, Machine(), figures.allowed(empty)) == 4
        assert figures.transfers(empty) == {} and figures.busy(empty) == (0, 0)


def test_v1_without_a_memory_controller_is_v1(tmp_path: Path) -> None:
    """With an empty tree of v2, or none."""
    hybrid = {name: files for name, files in V1.items() if name != "memory"}
    for at, files in enumerate((hybrid, {name: hybrid[name] for name in hybrid if name != "unified"})):
        group = tree(tmp_path / str(at), files)  # type: ignore[arg-type]
        assert figures.processors(group, Machine(), figures.allowed(group)) == 2
        assert figures.busy(group) == (300, 40) and "7:1" in figures.transfers(group)
        assert figures.memory(group, Machine()).total == 1024 * MIB


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"4:memory:/vz/101\n0::/vz/101/a\n", "101"),
        (b"4:memory:/\n1:name=systemd:/\n0::/vz/7/system.slice/x:y\n", "7"),
        (b"0::/user.slice\n", ""),
        (b"0::/vz/.hostd\n", ""),
        (b"0::/vz2/101\n", ""),
        (b"4:memory:/other/vz/101\n0::/:/vz/102\n", ""),
        (b"", ""),
    ],
)
def test_whose_process_it_is(text: bytes, number: str) -> None:
    assert number_in(text, b":/vz/") == number


class Noting(Group):
    """Notes the files that are read."""

    seen: ClassVar[list[str]] = []

    def read(self, controller: str, name: str) -> bytes:
        self.seen.append(name)
        return super().read(controller, name)


@pytest.mark.parametrize("files", [V1, V2])
def test_a_file_of_proc_is_made_of_each_file_of_the_cgroup_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: "dict[str, dict[str, object]]"
) -> None:
    of_cpuset = {"cpuset.cpus.effective": "0-2"} if files is V2 else {}
    tree(tmp_path, {**files, "unified": {**files["unified"], **of_cpuset}})
    cgroups = Cgroups("vz", {name: str(tmp_path / name) for name in files})
    monkeypatch.setattr(cgroups, "of", lambda pid: Noting(cgroups, "101"))
    for name in ("online", "stat", "uptime", "loadavg", "swaps"):
        monkeypatch.setattr(Noting, "seen", [])
        made = Files(cgroups)
        made._host = Machine()
        assert made.text(name, 1)
        assert len(Noting.seen) == len(set(Noting.seen)) > 0, Noting.seen
        assert "memory.stat" not in Noting.seen, "a sum over all cgroups of the guest's own"


def test_lists_of_processors() -> None:
    assert [counted(text) for text in (b"0\n", b"0-3,8\n", b"\n", b"")] == [1, 5, 0, 0]


def test_load_averages_follow_the_work() -> None:
    loads, second = Loads(), 10**9
    assert loads.averages("101", 0, 0) == (0, 0, 0)
    first, third, fifth = loads.averages("101", 60 * second, 120 * second)  # two processors, for a minute
    assert 2 > first > third > fifth > 0 and first == pytest.approx(2 * (1 - 1 / 2.718281828), rel=1e-6)
    idle = loads.averages("101", 120 * second, 120 * second)
    assert idle[0] < first and idle[0] > 0
    assert loads.averages("102", 60 * second, 0) == (0, 0, 0)
    assert loads.averages("101", second, 0)[0] == 0, "started again"
