"""Limits on a fake cgroup tree: what is written where, in which order, and taken back how."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.cgroup import files, limits, stats
from hostd.cgroup.limits import Limits, quota, shares, weight
from hostd.cgroup.tree import CtCgroup
from hostd.config.values import PAGE
from hostd.errors import Exit, Failure
from hostd.kernel import swaps
from hostd.kernel.features import ROWS
from tests.harness.fake_cgroups import MIB, content, v1, v2, writes


def order(cgroup: CtCgroup, wanted: Limits, previous: Limits | None = None) -> list[str]:
    return [os.path.basename(w.path) for w in writes(cgroup, wanted, previous)]


def test_v2_files_get_the_values(tmp_path: Path) -> None:
    cgroup = v2(tmp_path)
    limits.apply(cgroup, Limits(256 * MIB, 512 * MIB, 2000, 150, 1, 80))
    assert content(cgroup, "memory", "memory.max") == str(256 * MIB)
    assert content(cgroup, "memory", "memory.swap.max") == str(512 * MIB)
    assert content(cgroup, "cpu", "cpu.weight") == "200"
    assert content(cgroup, "cpu", "cpu.max").startswith("100000 100000")  # CPUS 1 is less than 150 %
    assert content(cgroup, "pids", "pids.max").startswith("80")


def test_v1_files_get_the_values(tmp_path: Path) -> None:
    cgroup = v1(tmp_path)
    limits.apply(cgroup, Limits(256 * MIB, 512 * MIB, 500, 50, 0, None))
    assert content(cgroup, "memory", "memory.limit_in_bytes").startswith(str(256 * MIB))
    assert content(cgroup, "memory", "memory.memsw.limit_in_bytes").startswith(str(768 * MIB))
    assert content(cgroup, "cpu", "cpu.shares").startswith("512")
    assert content(cgroup, "cpu", "cpu.cfs_quota_us").startswith("50000")


@pytest.mark.parametrize("make", [v1, v2])
@pytest.mark.parametrize(("numproc", "text"), [(4194304, "4194304"), (4194305, "max"), (None, "max")])
def test_more_processes_than_there_are_numbers_is_no_limit(
    tmp_path: Path, make: Callable[[Path], CtCgroup], numproc: int | None, text: str
) -> None:
    cgroup = make(tmp_path)
    limits.apply(cgroup, Limits(numproc=numproc))
    assert content(cgroup, "pids", "pids.max") == text


def test_only_what_differs_is_written(tmp_path: Path) -> None:
    cgroup = v2(tmp_path)
    before = Limits(64 * MIB, 0, 1000, 0, 0, 50)
    assert order(cgroup, Limits(64 * MIB, 0, 1000, 0, 0, 60), before) == ["pids.max"]
    assert order(cgroup, Limits(64 * MIB, 0, 1000, 100, 1, 50), before) == ["cpu.max"]
    assert order(cgroup, before, before) == []


@given(st.tuples(*[st.integers(1, 1 << 40)] * 2), st.tuples(*[st.integers(1, 1 << 40)] * 2))
def test_v1_memory_never_exceeds_memory_plus_swap_on_the_way(
    tmp_path_factory: pytest.TempPathFactory, old: tuple[int, int], new: tuple[int, int]
) -> None:
    cgroup = v1(tmp_path_factory.mktemp("cg"))
    path = cgroup.path("memory")
    assert path is not None
    now = {"memory.limit_in_bytes": old[0], "memory.memsw.limit_in_bytes": sum(old)}
    for name, value in now.items():
        Path(path, name).write_text(f"{value}\n")
    for item in writes(cgroup, Limits(*new), Limits(*old)):
        now[os.path.basename(item.path)] = int(item.value)
        assert now["memory.limit_in_bytes"] <= now["memory.memsw.limit_in_bytes"]
    assert list(now.values()) == [new[0], sum(new)] or old == new


def test_a_refused_write_takes_the_earlier_ones_back(tmp_path: Path) -> None:
    cgroup = v2(tmp_path)
    limits.apply(cgroup, Limits(ram=100 * MIB, cpuunits=3000))
    pids = tmp_path / "vz" / "101" / "pids.max"
    pids.unlink()
    pids.mkdir()
    with pytest.raises(Failure) as failure:
        limits.apply(cgroup, Limits(ram=200 * MIB, cpuunits=1000, numproc=5))
    assert failure.value.exit_code == Exit.SETUBC
    assert "pids.max" in failure.value.message
    assert content(cgroup, "memory", "memory.max").startswith(str(100 * MIB))
    assert content(cgroup, "cpu", "cpu.weight").startswith("300")


def test_a_refused_limit_of_io_has_its_own_code(tmp_path: Path) -> None:
    cgroup = v2(tmp_path, controllers="io")
    (tmp_path / "vz" / "101" / "io.max").mkdir()
    with pytest.raises(Failure, match="cannot") as failure:
        limits.apply(cgroup, Limits(iolimit=5 * MIB, device="7:1"))
    assert failure.value.exit_code == Exit.SET_IO


@pytest.mark.parametrize(
    ("wanted", "controller"),
    [(Limits(ram=MIB), "memory"), (Limits(cpulimit=10), "cpu"), (Limits(numproc=3), "pids")],
)
def test_a_limit_without_its_controller_says_which(tmp_path: Path, wanted: Limits, controller: str) -> None:
    cgroup = v2(tmp_path, controllers="hugetlb")
    with pytest.raises(Failure, match=f"controller {controller} ") as failure:
        limits.apply(cgroup, wanted)
    assert failure.value.exit_code == Exit.BAD_KERNEL
    (row,) = [row for row in ROWS if row.field == controller]
    assert "are refused" in row.consequence, "vzctl check says so"


def test_no_limit_needs_no_controller(tmp_path: Path) -> None:
    limits.apply(v2(tmp_path, controllers=""), Limits())


@pytest.fixture(params=[v1, v2])
def unaccounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> CtCgroup:
    """Where no file limits swap, and the kernel has a table of swap: an empty one."""
    cgroup: CtCgroup = request.param(tmp_path)
    for name in ("memory.swap.max", "memory.memsw.limit_in_bytes"):
        Path(cgroup.path("memory") or "", name).unlink(missing_ok=True)
    table = tmp_path / "swaps"
    table.write_text("Filename Type Size Used Priority\n")
    monkeypatch.setattr(swaps, "TABLE", str(table))
    return cgroup


def test_swap_without_swap_accounting_is_said(unaccounted: CtCgroup) -> None:
    limits.apply(unaccounted, Limits(ram=64 * MIB))
    with pytest.raises(Failure, match="does not account swap") as failure:
        limits.apply(unaccounted, Limits(ram=64 * MIB, swap=MIB))
    assert failure.value.exit_code == Exit.BAD_KERNEL and "--swap unlimited" in (failure.value.hint or "")


def test_any_limit_of_swap_holds_where_the_kernel_cannot_swap(unaccounted: CtCgroup) -> None:
    Path(swaps.TABLE).unlink()
    limits.apply(unaccounted, Limits(ram=64 * MIB, swap=MIB))
    name = "memory.max" if unaccounted.tree.mode == "v2" else "memory.limit_in_bytes"
    assert content(unaccounted, "memory", name).startswith(str(64 * MIB))
    limits.apply(unaccounted, Limits(ram=64 * MIB, swap=2 * MIB), Limits(ram=64 * MIB, swap=MIB))


@pytest.mark.parametrize(
    ("units", "v1_shares", "v2_weight"),
    [(8, 8, 1), (1000, 1024, 100), (1500, 1536, 150), (500000, 262144, 10000), (1, 2, 1)],
)
def test_cpu_units(units: int, v1_shares: int, v2_weight: int) -> None:
    assert shares(units) == v1_shares
    assert weight(units) == v2_weight


@pytest.mark.parametrize(
    ("cpulimit", "cpus", "percent"), [(0, 0, 0), (50, 0, 50), (0, 2, 200), (150, 1, 100)]
)
def test_the_smaller_of_cpulimit_and_cpus_counts(cpulimit: int, cpus: int, percent: int) -> None:
    assert quota(Limits(cpulimit=cpulimit, cpus=cpus)) == percent


def test_counters_of_v2(tmp_path: Path) -> None:
    rows = stats.counters(v2(tmp_path), {"physpages", "numproc", "kmemsize", "swappages", "shmpages", "numfile"})
    assert rows == {
        "physpages": stats.Counter(10 * MIB // PAGE, 20 * MIB // PAGE, 3),
        "numproc": stats.Counter(7, 9, 4),
        "kmemsize": stats.Counter(8192, None, 0),  # no maximum in this kernel
        "swappages": stats.Counter(4096 // PAGE, None, 2),
    }


def test_counters_of_v2_in_older_and_newer_kernels(tmp_path: Path) -> None:
    cgroup = v2(tmp_path)
    directory = Path(cgroup.path("memory") or "")
    (directory / "memory.stat").write_text("anon 1\nkernel_stack 3\npagetables 4\nslab 5\nshmem 8192\n")
    (directory / "memory.swap.peak").write_text("12288\n")
    (directory / "memory.peak").unlink()
    rows = stats.counters(cgroup, stats.KEPT)
    assert rows["kmemsize"].held == 12
    assert rows["shmpages"] == stats.Counter(2, None, None)
    assert rows["swappages"].maxheld == 3
    assert rows["physpages"].maxheld is None
    assert "dcachesize" not in rows


def test_no_file_is_read_twice_and_none_in_vain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = files.read_optional

    def noted(path: str | None) -> str | None:
        read.append(os.path.basename(path or ""))
        return original(path)

    monkeypatch.setattr(files, "read_optional", noted)
    stats.counters(v2(tmp_path), {"physpages"})
    assert sorted(read[1:]) == ["memory.current", "memory.events.local", "memory.peak"]  # the first: which controllers
    read.clear()
    stats.counters(CtCgroup(v2(tmp_path / "again").tree, 101), {"kmemsize", "shmpages", "dcachesize"})
    assert read.count("memory.stat") == 1


def test_counters_of_v1(tmp_path: Path) -> None:
    cgroup = v1(tmp_path)
    directory = Path(cgroup.path("memory") or "")
    figures = {
        "memory.usage_in_bytes": 8 * MIB,
        "memory.max_usage_in_bytes": 9 * MIB,
        "memory.failcnt": 0,
        "memory.memsw.usage_in_bytes": 10 * MIB,
        "memory.memsw.failcnt": 5,
        "memory.kmem.usage_in_bytes": MIB,
    }
    for name, figure in figures.items():
        (directory / name).write_text(f"{figure}\n")
    (directory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    (directory / "memory.stat").write_text(f"shmem {PAGE}\ntotal_shmem {3 * PAGE}\n")
    assert stats.counters(cgroup, stats.KEPT) == {
        "physpages": stats.Counter(8 * MIB // PAGE, 9 * MIB // PAGE, 2),
        "swappages": stats.Counter(2 * MIB // PAGE, None, 5),
        "kmemsize": stats.Counter(MIB, None, None),
        "shmpages": stats.Counter(3, None, None),
    }


def test_counters_of_what_does_not_exist_are_unknown(tmp_path: Path) -> None:
    cgroup = CtCgroup(v2(tmp_path).tree, 999)
    assert stats.counters(cgroup, stats.KEPT) == {}
    assert stats.processes(cgroup) is None
