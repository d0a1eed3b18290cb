"""RAM and swap below what is in use, on fake cgroups: what is refused, in which words, and that all is as it was."""

import errno
import os
from pathlib import Path

import pytest

from hostd.cgroup import files, limits
from hostd.cgroup.limits import Limits
from hostd.cgroup.tree import CtCgroup
from hostd.config.values import PAGE
from hostd.errors import Exit, Failure
from tests.harness.fake_cgroups import MIB, content, v1, v2, write


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "write", write)


def test_v2_refuses_ram_below_what_cannot_be_reclaimed(tmp_path: Path) -> None:
    cgroup = v2(tmp_path)
    with pytest.raises(Failure, match="in use") as failure:
        limits.apply(cgroup, Limits(ram=5 * MIB))
    assert failure.value.exit_code == Exit.SETUBC
    assert content(cgroup, "memory", "memory.max").startswith("max")
    assert content(cgroup, "memory", "memory.high").startswith("max")


def refused(cgroup: CtCgroup, wanted: Limits, previous: Limits | None = None) -> str:
    with pytest.raises(Failure) as failure:
        limits.apply(cgroup, wanted, previous)
    assert failure.value.exit_code == Exit.SETUBC
    return failure.value.message


def swapped(cgroup: CtCgroup, ram: int, swap: int) -> None:
    """So many MiB of it are in use."""
    directory = Path(cgroup.path("memory") or "")
    (directory / "memory.current").write_text(str(ram * MIB))
    (directory / "memory.swap.current").write_text(str(swap * MIB))


def test_v2_wants_room_in_ram_for_what_is_swapped_beyond_the_limit(tmp_path: Path) -> None:
    """The kernel takes a swap limit below what is in use, and leaves what is there in swap."""
    cgroup = v2(tmp_path)
    old = Limits(100 * MIB, 100 * MIB)
    limits.apply(cgroup, old)
    swapped(cgroup, 50, 40)
    pages = MIB // PAGE
    assert refused(cgroup, Limits(60 * MIB, 20 * MIB), old) == (
        f"cannot set PHYSPAGES to {60 * pages} and SWAPPAGES to {20 * pages} pages: "
        f"{50 * pages} of RAM and {40 * pages} of swap are in use"
    )
    for name in ("memory.max", "memory.swap.max"):
        assert content(cgroup, "memory", name).startswith(str(100 * MIB))
    assert content(cgroup, "memory", "memory.high").startswith("max")
    limits.apply(cgroup, Limits(70 * MIB, 20 * MIB), old)
    assert content(cgroup, "memory", "memory.swap.max").startswith(str(20 * MIB))


@pytest.mark.parametrize("pair", [(10, 5), (10, 0), (0, 10)])
def test_v2_with_more_in_swap_than_both_limits_reclaims_nothing(tmp_path: Path, pair: tuple[int, int]) -> None:
    cgroup = v2(tmp_path)
    swapped(cgroup, 1, 40)
    assert "are in use" in refused(cgroup, Limits(pair[0] * MIB, pair[1] * MIB))
    assert content(cgroup, "memory", "memory.high") == "max"


def test_v1_says_how_much_is_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit has been lowered when memsw is refused: it is put back."""
    cgroup = v1(tmp_path)
    old = Limits(100 * MIB, 100 * MIB)
    limits.apply(cgroup, old)
    directory = Path(cgroup.path("memory") or "")
    (directory / "memory.usage_in_bytes").write_text(str(30 * MIB))
    (directory / "memory.memsw.usage_in_bytes").write_text(str(90 * MIB))
    write, written = files.write, []

    def busy(path: str, value: str) -> None:
        written.append(os.path.basename(path))
        if path.endswith("memsw.limit_in_bytes") and int(value) < 90 * MIB:
            raise OSError(errno.EBUSY, "busy", path)
        write(path, value)

    monkeypatch.setattr(files, "write", busy)
    pages = MIB // PAGE
    assert refused(cgroup, Limits(50 * MIB, 20 * MIB), old) == (
        f"cannot set PHYSPAGES to {50 * pages} and SWAPPAGES to {20 * pages} pages: "
        f"{30 * pages} of RAM and {60 * pages} of swap are in use"
    )
    assert written[:2] == ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
    assert content(cgroup, "memory", "memory.limit_in_bytes").startswith(str(100 * MIB))
    assert content(cgroup, "memory", "memory.memsw.limit_in_bytes").startswith(str(200 * MIB))


def test_v2_takes_back_what_can_be_and_tells_the_rest(tmp_path: Path) -> None:
    """RAM was raised, and filled; nobody is killed for an undo."""
    cgroup = v2(tmp_path)
    old, new = Limits(60 * MIB, 0, numproc=9, cpuunits=500), Limits(100 * MIB, 0, numproc=10, cpuunits=2000)
    limits.apply(cgroup, old)
    limits.apply(cgroup, new, old)
    swapped(cgroup, 90, 0)
    stays = limits.take_back(cgroup, old, new)
    pages = MIB // PAGE
    assert {what: why.message for what, why in stays.items()} == {
        "PHYSPAGES and SWAPPAGES": f"cannot set PHYSPAGES to {60 * pages} and SWAPPAGES to 0 pages: "
        f"{90 * pages} of RAM and 0 of swap are in use"
    }
    assert content(cgroup, "memory", "memory.max").startswith(str(100 * MIB))
    assert content(cgroup, "pids", "pids.max").startswith("9")
    assert content(cgroup, "cpu", "cpu.weight").startswith("50")
    swapped(cgroup, 50, 0)
    assert limits.take_back(cgroup, old, new) == {}
    assert content(cgroup, "memory", "memory.max").startswith(str(60 * MIB))


def test_v1_takes_back_what_can_be_and_tells_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cgroup = v1(tmp_path)
    old, new = Limits(60 * MIB, 0, numproc=9), Limits(100 * MIB, 0, numproc=10)
    limits.apply(cgroup, old)
    limits.apply(cgroup, new, old)
    directory = Path(cgroup.path("memory") or "")
    for name in ("memory.usage_in_bytes", "memory.memsw.usage_in_bytes"):
        (directory / name).write_text(str(90 * MIB))
    write = files.write

    def busy(path: str, value: str) -> None:
        if path.endswith("limit_in_bytes") and int(value) < 90 * MIB:
            raise OSError(errno.EBUSY, "busy", path)
        write(path, value)

    monkeypatch.setattr(files, "write", busy)
    assert list(limits.take_back(cgroup, old, new)) == ["PHYSPAGES and SWAPPAGES"]
    for name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"):
        assert content(cgroup, "memory", name).startswith(str(100 * MIB))
    assert content(cgroup, "pids", "pids.max").startswith("9")


def test_v2_kills_nobody_for_an_undo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RAM was raised, and filled before the next limit was refused: it stays allowed, swap with it, and is told."""
    cgroup = v2(tmp_path)
    old, new = Limits(60 * MIB, 10 * MIB), Limits(90 * MIB, 20 * MIB, numproc=5)
    limits.apply(cgroup, old)
    write, pids = files.write, f"{cgroup.path('pids')}/pids.max"
    allowed: list[int] = []
    filled = 80

    def full(path: str, value: str) -> None:
        if path == pids:
            swapped(cgroup, filled, 0)
            raise OSError(errno.EINVAL, "no", path)
        if path.endswith("/memory.max"):
            allowed.append(int(value))
        write(path, value)

    monkeypatch.setattr(files, "write", full)
    why = f"cannot set NUMPROC to 5: {pids}: Invalid argument"
    assert refused(cgroup, new, old) == why
    assert min(allowed) == 90 * MIB
    assert list(limits.take_back(cgroup, old, new)) == ["PHYSPAGES and SWAPPAGES", "NUMPROC"]
    for name, most in (("memory.max", 90), ("memory.swap.max", 20)):
        assert content(cgroup, "memory", name) == str(most * MIB)
    filled = 50
    swapped(cgroup, filled, 0)
    limits.apply(cgroup, old, new._replace(numproc=None))
    assert refused(cgroup, new, old) == why
    for name, most in (("memory.max", 60), ("memory.swap.max", 10)):
        assert content(cgroup, "memory", name) == str(most * MIB)


def test_v2_wants_room_for_what_is_swapped_when_it_takes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Swap was raised, and filled: to lower it there must be that much less in RAM."""
    cgroup = v2(tmp_path)
    old, new = Limits(60 * MIB, 10 * MIB), Limits(60 * MIB, 90 * MIB, numproc=5)
    limits.apply(cgroup, old)
    write = files.write

    def full(path: str, value: str) -> None:
        if path.endswith("/pids.max"):
            swapped(cgroup, 50, 80)
            raise OSError(errno.EINVAL, "no", path)
        write(path, value)

    monkeypatch.setattr(files, "write", full)
    assert "NUMPROC" in refused(cgroup, new, old)
    assert content(cgroup, "memory", "memory.swap.max") == str(90 * MIB)


@pytest.mark.parametrize("ram", [100 * MIB, None])
def test_v2_ends_what_a_daemon_that_died_has_lowered(tmp_path: Path, ram: int | None) -> None:
    """Else the container would crawl at the limit of a change that was taken back."""
    cgroup = v2(tmp_path)
    old = Limits(ram)
    limits.apply(cgroup, old)
    files.write(f"{cgroup.path('memory')}/memory.high", str(32 * MIB))
    assert limits.take_back(cgroup, old) == {}
    assert content(cgroup, "memory", "memory.high") == "max"
