"""Quotas of a guest's own cgroups on v1, where the kernel refuses one below that is larger: on a fake tree."""

import errno
import os
from pathlib import Path

import pytest

from hostd.cgroup import cputime, files, limits
from hostd.cgroup.limits import NONE, Limits
from hostd.cgroup.tree import CtCgroup
from hostd.cgroup.writes import perform
from hostd.errors import Failure
from tests.harness.fake_cgroups import content, v1

QUOTA = "cpu.cfs_quota_us"
QUOTAS = {"a": (400_000, 100_000), "a/b": (200_000, 50_000), "c": (50_000, 100_000), "d": (-1, 100_000)}


@pytest.fixture
def cgroup(tmp_path: Path) -> CtCgroup:
    """Which may have eight processors."""
    made = v1(tmp_path)
    limits.apply(made, Limits(cpulimit=800), NONE)
    for name, (quota, period) in QUOTAS.items():
        directory = top(made) / name
        directory.mkdir()
        (directory / QUOTA).write_text(f"{quota}\n")
        (directory / "cpu.cfs_period_us").write_text(f"{period}\n")
    return made


def top(cgroup: CtCgroup) -> Path:
    return Path(cgroup.path("cpu") or "")


def quotas(cgroup: CtCgroup) -> list[int]:
    return [int((top(cgroup) / name / QUOTA).read_text()) for name in QUOTAS]


def test_larger_ones_have_the_containers(cgroup: CtCgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is lowered, deepest first."""
    write, written = files.write, []

    def noted(path: str, value: str) -> None:
        written.append((os.path.relpath(os.path.dirname(path), top(cgroup)), value))
        write(path, value)

    monkeypatch.setattr(files, "write", noted)
    limits.apply(cgroup, Limits(cpulimit=100), Limits(cpulimit=800))
    assert written == [("a/b", "-1"), ("a", "-1"), (".", "100000")]


@pytest.mark.parametrize("percent", [0, 400, 1600])
def test_those_that_fit_stay(cgroup: CtCgroup, percent: int) -> None:
    limits.apply(cgroup, Limits(cpulimit=percent), Limits(cpulimit=800))
    assert quotas(cgroup) == [400_000, 200_000, 50_000, -1]


def test_they_are_given_back_when_a_later_limit_is_refused(
    cgroup: CtCgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for one that the guest has removed meanwhile."""
    write = files.write

    def refuse(path: str, value: str) -> None:
        if path.endswith("/pids.max"):
            for file in (top(cgroup) / "a/b").iterdir():
                file.unlink()
            raise OSError(errno.EINVAL, "no", path)
        write(path, value)

    monkeypatch.setattr(files, "write", refuse)
    with pytest.raises(Failure, match="NUMPROC"):
        limits.apply(cgroup, Limits(cpulimit=100, numproc=5), Limits(cpulimit=800))
    assert content(cgroup, "cpu", QUOTA) == "800000"
    assert (top(cgroup) / "a" / QUOTA).read_text() == "400000\n"


def test_one_that_is_removed_meanwhile_is_passed_over(cgroup: CtCgroup) -> None:
    found = list(cputime.v1(str(top(cgroup)), 100))
    (top(cgroup) / "a/b" / QUOTA).unlink()
    perform(found)
    assert content(cgroup, "cpu", QUOTA) == "100000"
