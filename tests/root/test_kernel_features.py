"""Features: the answers agree with what can be seen otherwise, and the probe leaves nothing."""

import dataclasses
import os
import threading

import pytest

from hostd.kernel import probes, probes_storage
from hostd.kernel.features import ROWS, Features, probe

pytestmark = pytest.mark.root


def machine_state() -> tuple[str, list[str], list[str], list[str]]:
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        mounts = file.read()
    cgroups = [name for point in ("", "/unified") for name in _names(f"/sys/fs/cgroup{point}")]
    return mounts, _probe_things(cgroups), os.listdir("/proc/self/fd"), [t.name for t in threading.enumerate()]


def _names(path: str) -> list[str]:
    return os.listdir(path) if os.path.isdir(path) else []


def _probe_things(names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(f"vz-probe-{os.getpid()}")]


def test_the_probe_leaves_nothing() -> None:
    probe()
    before = machine_state()
    probe()
    assert machine_state() == before


def test_every_feature_has_a_row_with_its_consequence() -> None:
    names = [field.name for field in dataclasses.fields(Features) if field.name != "cgroup_mode"]
    assert sorted(row.field for row in ROWS) == sorted(names)
    assert all(row.consequence and "\n" not in row.consequence for row in ROWS)


def test_answers_that_can_be_seen_otherwise() -> None:
    found = probe()
    unified = "/sys/fs/cgroup/cgroup.controllers"
    assert (found.cgroup_mode == "v2") == os.path.exists(unified)
    assert found.pids == any(
        "pids" in _words(path) for path in ("/proc/cgroups", unified) if os.path.exists(path)
    )
    assert found.fsopen
    assert found.openat2
    assert found.close_range


def _words(path: str) -> list[str]:
    with open(path, encoding="ascii") as file:
        return file.read().split()


def test_without_a_kernel_feature_the_answer_is_no(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bool:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(probes_storage, "Stage", refuse)
    found = probe()
    assert not found.overlay
    assert not found.loop
    assert found.userns
    assert probes.cgroup_mode() == found.cgroup_mode
