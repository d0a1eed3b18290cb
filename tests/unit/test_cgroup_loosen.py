"""A kill takes away what keeps killed processes from ending: on a fake tree."""

from pathlib import Path

import pytest

from hostd.cgroup import control, files, loosen
from hostd.cgroup.hierarchies import Hierarchy
from hostd.cgroup.tree import CgroupTree, CtCgroup

V1 = {
    "freezer": {"freezer.state": "FROZEN"},
    "blkio": {
        "blkio.throttle.read_bps_device": "7:1 1024\n7:2 1",
        "blkio.throttle.write_bps_device": "7:1 1024",
        "blkio.throttle.read_iops_device": "",
        "blkio.throttle.write_iops_device": "",
    },
    "cpu": {"cpu.cfs_quota_us": "1000", "cpu.shares": "2"},
}
V2 = {
    "cpu.max": "1000 1000000",
    "io.max": "7:1 rbps=2 wbps=2 riops=max wiops=max\n7:2 rbps=max wbps=9 riops=max wiops=max",
    "cpu.weight": "1",
}
FREE = "rbps=max wbps=max riops=max wiops=max"
BELOW = ("a", "a/b", "c")

Written = list[tuple[str, str]]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    """What was written instead, in that order: (path, value)."""
    found: Written = []

    def note(path: str, value: str) -> None:
        found.append((str(Path(path).resolve().relative_to(tmp_path)), value))

    monkeypatch.setattr(files, "write", note)
    return found


def v1(tmp: Path) -> CtCgroup:
    """A hybrid host's."""
    for controller, texts in V1.items():
        make(tmp / controller / "vz/101", texts)
    (tmp / "unified/vz/101").mkdir(parents=True)
    named = [Hierarchy(str(tmp / name), frozenset({name})) for name in V1]
    return CtCgroup(CgroupTree("vz", (*named, Hierarchy(str(tmp / "unified"), frozenset(), unified=True))), 101)


def v2(tmp: Path) -> CtCgroup:
    make(tmp / "vz/101", V2)
    (tmp / "vz/cgroup.subtree_control").write_text("cpu io\n")
    return CtCgroup(CgroupTree("vz", (Hierarchy(str(tmp), frozenset(), unified=True),)), 101)


def make(top: Path, texts: dict[str, str]) -> None:
    for directory in (top, *(top / name for name in BELOW)):
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (directory / name).write_text(f"{text}\n")


def test_everything_on_v1(tmp_path: Path, written: Written) -> None:
    v1(tmp_path).kill()
    assert written[0] == ("unified/vz/101/cgroup.kill", "1")
    expected = set()
    for here in ("vz/101", *(f"vz/101/{name}" for name in BELOW)):
        expected |= {
            (f"freezer/{here}/freezer.state", "THAWED"),
            (f"cpu/{here}/cpu.cfs_quota_us", "-1"),
            (f"blkio/{here}/blkio.throttle.read_bps_device", "7:1 0"),
            (f"blkio/{here}/blkio.throttle.read_bps_device", "7:2 0"),
            (f"blkio/{here}/blkio.throttle.write_bps_device", "7:1 0"),
        }
    assert set(written[1:]) == expected
    assert len(written) == 1 + len(expected)
    assert {path.split("/")[0] for path, _ in written[-4:]} == {"freezer"}, "who could freeze again is dead by then"


def test_everything_on_v2(tmp_path: Path, written: Written) -> None:
    v2(tmp_path).kill()
    here = "vz/101"
    own = [(f"{here}/cpu.max", "max"), (f"{here}/io.max", f"7:1 {FREE}"), (f"{here}/io.max", f"7:2 {FREE}")]
    assert written[:4] == [(f"{here}/cgroup.kill", "1"), *own]
    assert len(written) == 1 + (1 + len(BELOW)) * len(own)


def test_nothing_is_written_where_nothing_binds(tmp_path: Path, written: Written) -> None:
    make(tmp_path / "vz/101", {"cpu.max": "max 100000", "io.max": ""})
    (tmp_path / "vz/cgroup.subtree_control").write_text("cpu io\n")
    CtCgroup(CgroupTree("vz", (Hierarchy(str(tmp_path), frozenset(), unified=True),)), 101).kill()
    assert written == [("vz/101/cgroup.kill", "1")]


def test_what_is_refused_keeps_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cgroup, tried = v2(tmp_path), []

    def refuse(path: str, value: str) -> None:
        tried.append(value)
        raise OSError(19, "no such device", path)

    monkeypatch.setattr(files, "write", refuse)
    loosen.loosen(cgroup.path)
    assert tried == ["max", f"7:1 {FREE}", f"7:2 {FREE}"] * (1 + len(BELOW))


def test_very_many_cgroups_do_not_hold_it_up(tmp_path: Path, written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loosen, "PATIENCE", -1.0)
    v2(tmp_path).kill()
    assert {path.rpartition("/")[0] for path, _ in written} == {"vz/101"}


def test_a_walk_that_takes_too_long_ends(tmp_path: Path) -> None:
    make(tmp_path, {"cgroup.procs": "7"})
    assert control.procs(str(tmp_path)) == [7] * (1 + len(BELOW))
    assert control.procs(str(tmp_path), until=0.0) == [7]
