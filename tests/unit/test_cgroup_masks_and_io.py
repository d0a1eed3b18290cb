"""Processors, memory nodes and disk I/O on a fake cgroup tree, v1 and v2: what is written, and taken back."""

import errno
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from hostd.cgroup import files, limits
from hostd.cgroup.hierarchies import Hierarchy
from hostd.cgroup.limits import NONE, Limits
from hostd.cgroup.tree import CgroupTree, CtCgroup
from hostd.config.values import numbers
from hostd.errors import Exit, Failure
from hostd.kernel.fd import Fd
from tests.harness import fake_cgroups
from tests.harness.fake_cgroups import writes

V1 = {
    "cpuset": {"cpuset.cpus": "0-3", "cpuset.mems": "0"},
    "blkio": {"blkio.bfq.weight": "100", **{
        f"blkio.throttle.{way}_{unit}_device": "" for way in ("read", "write") for unit in ("bps", "iops")
    }},
}  # fmt: skip
V2 = {
    "cpuset.cpus": "",
    "cpuset.mems": "",
    "io.weight": "default 100",
    "io.max": "8:0 rbps=max wbps=1 riops=max wiops=max",
}


def laid(directory: Path, wanted: dict[str, str]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in wanted.items():
        (directory / name).write_text(f"{text}\n")


@pytest.fixture
def v1(tmp_path: Path) -> CtCgroup:
    for controller, wanted in V1.items():
        laid(tmp_path / controller / "vz", wanted)
        laid(tmp_path / controller / "vz" / "101", wanted)
    return CtCgroup(CgroupTree("vz", tuple(Hierarchy(str(tmp_path / c), frozenset({c})) for c in V1)), 101)


@pytest.fixture
def v2(tmp_path: Path) -> CtCgroup:
    laid(tmp_path / "vz" / "101", V2)
    laid(tmp_path / "vz", {"cpuset.cpus.effective": "0-7", "cpuset.mems.effective": "0-1"})
    (tmp_path / "vz" / "cgroup.subtree_control").write_text("cpuset io\n")
    return CtCgroup(CgroupTree("vz", (Hierarchy(str(tmp_path), frozenset(), unified=True),)), 101)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Name and value of every write, in order.  A cpuset is held to what the kernel asks of it."""
    found: list[tuple[str, str]] = []

    def write(path: str, value: str) -> None:
        found.append((os.path.basename(path), value))
        if path.endswith((".cpus", ".mems")) and not value and Path(path).read_text().strip():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        Path(path).write_text(f"{value}\n")
        for top in Path(path).parents:
            if top.name == "cpuset":
                must_nest(top, os.path.basename(path))

    monkeypatch.setattr(files, "write", write)
    return found


def must_nest(top: Path, name: str) -> None:
    """Every set is a part of its parent's, and none is empty."""
    for file in top.rglob(name):
        own, parent = numbers(file.read_text().strip()), file.parent.parent / name
        assert own
        assert not parent.exists() or own <= numbers(parent.read_text().strip())


def test_v2_masks(v2: CtCgroup, written: list[tuple[str, str]]) -> None:
    """A new cgroup is left alone; afterwards all are given by name."""
    limits.apply(v2, NONE)
    limits.apply(v2, Limits(cpumask="0,2-3", nodemask="1"), NONE)
    limits.apply(v2, NONE, Limits(cpumask="0,2-3", nodemask="1"))
    masks = [(name, value) for name, value in written if name.startswith("cpuset")]
    assert masks == [("cpuset.cpus", "0,2-3"), ("cpuset.mems", "1"), ("cpuset.cpus", "0-7"), ("cpuset.mems", "0-1")]


def test_v2_masks_are_taken_back(v2: CtCgroup, written: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "write", refusing(files.write, "cpuset.mems"))
    with pytest.raises(Failure):
        limits.apply(v2, Limits(cpumask="0", nodemask="1"), NONE)
    assert [value for name, value in written if name == "cpuset.cpus"] == ["0", "0-7"]


def refusing(write: Callable[[str, str], None], name: str) -> Callable[[str, str], None]:
    """*write*, but for the file called *name*."""

    def refuse(path: str, value: str) -> None:
        if os.path.basename(path) == name:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        write(path, value)

    return refuse


def test_an_empty_value_is_written_all_the_same(tmp_path: Path) -> None:
    """write(2) of no bytes would not reach the file of a cgroup."""
    file = tmp_path / "cpuset.cpus"
    file.write_text("0\n")
    files.write(str(file), "")
    assert file.read_text() == "\n\n"


def test_v1_nodes(v1: CtCgroup, tmp_path: Path, written: list[tuple[str, str]]) -> None:
    for directory in ("vz", "vz/101"):
        laid(tmp_path / "cpuset" / directory, {"cpuset.mems": "0-1"})
    limits.apply(v1, Limits(nodemask="1"), NONE)
    limits.apply(v1, NONE, Limits(nodemask="1"))
    assert written == [("cpuset.mems", "1"), ("cpuset.mems", "0-1")]


@pytest.mark.parametrize("steps", [["1"], ["0-1", "2-3", ""], ["3", "0-3", "1", ""]])
def test_v1_takes_the_cgroups_inside_along(
    v1: CtCgroup, tmp_path: Path, written: list[tuple[str, str]], steps: list[str]
) -> None:
    top = tmp_path / "cpuset" / "vz" / "101"
    sets = {top / "docker": "0-3", top / "docker" / "a": "1-2", top / "docker" / "b": "0-3"}
    for directory, text in sets.items():
        laid(directory, {"cpuset.cpus": text})
    before = NONE
    for step in steps:
        now = Limits(cpumask=step)
        limits.apply(v1, now, before)
        assert (top / "cpuset.cpus").read_text().strip() == (step or "0-3")
        before = now
    if before == NONE:
        assert (top / "docker" / "b" / "cpuset.cpus").read_text().strip() == "0-3"
    assert written


def test_v1_takes_along_what_is_too_deep_for_a_path(
    v1: CtCgroup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "write", fake_cgroups.write)
    deepest = nested(tmp_path / "cpuset" / "vz" / "101", 20)
    limits.apply(v1, Limits(cpumask="1"), NONE)
    with open("cpuset.cpus", encoding="ascii", opener=partial(os.open, dir_fd=deepest.fileno())) as file:
        assert file.read().strip() == "1"
    limits.apply(v1, NONE, Limits(cpumask="1"))
    assert limits.take_back(v1, Limits(cpumask="1"), NONE) == {}


def nested(path: Path, depth: int) -> Fd:
    """A cgroup so far below *path*, by directories with long names."""
    here, name = Fd.open(str(path), os.O_DIRECTORY), "x" * 250
    for _ in range(depth):
        os.mkdir(name, dir_fd=here.fileno())
        here = Fd(os.open(name, os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=here.fileno()))
        with open("cpuset.cpus", "w", encoding="ascii", opener=partial(os.open, dir_fd=here.fileno())) as file:
            file.write("0-3\n")
    return here


def test_a_row_that_cannot_even_be_looked_at_stays_and_the_others_do_not(
    v2: CtCgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = files.read_optional

    def refuse(path: str | None) -> str | None:
        if path and path.endswith("101/cpuset.mems"):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
        return read(path)

    limits.apply(v2, Limits(nodemask="1", iolimit=5, device="7:3"), NONE)
    monkeypatch.setattr(files, "read_optional", refuse)
    stays = limits.take_back(v2, NONE, Limits(nodemask="1", iolimit=5, device="7:3"))
    assert list(stays) == ["NODEMASK"] and stays["NODEMASK"].message.endswith("cpuset.mems: File name too long")


def test_v1_undo_of_a_mask(v1: CtCgroup, tmp_path: Path) -> None:
    """A later row that is refused takes the mask back, inside as well."""
    inner = tmp_path / "cpuset" / "vz" / "101" / "inner"
    laid(inner, {"cpuset.cpus": "0-3"})
    refused = tmp_path / "blkio" / "vz" / "101" / "blkio.throttle.write_bps_device"
    refused.unlink()
    refused.mkdir()
    with pytest.raises(Failure) as failure:
        limits.apply(v1, Limits(cpumask="2", iolimit=5, device="7:1"), NONE)
    assert failure.value.exit_code == Exit.SET_IO and "write_bps_device" in failure.value.message
    assert files.read(str(inner / "cpuset.cpus")).startswith("0-3")
    assert files.read(str(inner.parent / "cpuset.cpus")).startswith("0-3")
    assert files.read(str(refused.parent / "blkio.throttle.read_bps_device")).startswith("7:1 0")


def test_v1_io(v1: CtCgroup, written: list[tuple[str, str]]) -> None:
    limits.apply(v1, Limits(iolimit=10 << 20, iopslimit=200, ioprio=7, device="7:3"), NONE)
    limits.apply(v1, Limits(device="7:3"), Limits(iolimit=10 << 20, device="7:3"))
    assert written == [
        ("blkio.bfq.weight", "128"),
        ("blkio.throttle.read_bps_device", "7:3 10485760"),
        ("blkio.throttle.write_bps_device", "7:3 10485760"),
        ("blkio.throttle.read_iops_device", "7:3 200"),
        ("blkio.throttle.write_iops_device", "7:3 200"),
        ("blkio.throttle.read_bps_device", "7:3 0"),
        ("blkio.throttle.write_bps_device", "7:3 0"),
    ]


def test_v2_io(v2: CtCgroup, written: list[tuple[str, str]]) -> None:
    limits.apply(v2, Limits(iolimit=10 << 20, iopslimit=200, ioprio=0, device="7:3"), NONE)
    limits.apply(v2, Limits(device="7:3"), Limits(iolimit=10 << 20, device="7:3"))
    assert written == [
        ("io.weight", "64"),
        ("io.max", "7:3 rbps=10485760 wbps=10485760"),
        ("io.max", "7:3 riops=200 wiops=200"),
        ("io.max", "7:3 rbps=max wbps=max"),
    ]


def test_v2_takes_no_limit_of_one(v2: CtCgroup, written: list[tuple[str, str]]) -> None:
    """`val > 1` is the kernel's condition."""
    limits.apply(v2, Limits(iolimit=1, iopslimit=1, device="7:3"), NONE)
    assert written == [("io.max", "7:3 rbps=2 wbps=2"), ("io.max", "7:3 riops=2 wiops=2")]


def test_everybodys_priority_is_the_kernels_weight(v2: CtCgroup, v1: CtCgroup) -> None:
    for cgroup in (v1, v2):
        found = [w for w in writes(cgroup, NONE) if w.what == "IOPRIO"]
        assert [write.value for write in found] == ["100"]


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("8:0 rbps=1 wbps=max riops=max wiops=max\n7:3 rbps=5 wbps=5 riops=max wiops=9",
         "7:3 rbps=5 wbps=5 riops=max wiops=9"),
        ("8:0 rbps=1 wbps=max riops=max wiops=max", "7:3 rbps=max wbps=max"),
        ("", "7:3 rbps=max wbps=max"),
    ],
)  # fmt: skip
def test_what_is_taken_back_is_that_of_the_device(v2: CtCgroup, text: str, back: str) -> None:
    (write,) = [w for w in writes(v2, Limits(iolimit=1, device="7:3"), NONE)]
    assert write.back(text) == back


def test_no_disk_of_its_own_needs_no_controller(tmp_path: Path) -> None:
    laid(tmp_path / "vz" / "101", {})
    (tmp_path / "vz" / "cgroup.subtree_control").write_text("\n")
    cgroup = CtCgroup(CgroupTree("vz", (Hierarchy(str(tmp_path), frozenset(), unified=True),)), 101)
    limits.apply(cgroup, Limits(device="7:3"), NONE)
    limits.apply(cgroup, Limits(device="7:3"))
    for wanted, name in ((Limits(cpumask="1"), "cpuset"), (Limits(iolimit=1, device="7:3"), "io")):
        with pytest.raises(Failure, match=f"controller {name} "):
            limits.apply(cgroup, wanted, NONE)
