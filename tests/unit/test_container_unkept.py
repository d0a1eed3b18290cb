"""Which settings a host says that it cannot keep: one line each, and only for what is asked."""

from collections.abc import Set
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hostd.cgroup.root import CgroupTree
from hostd.config import processors
from hostd.config.model import CtConfig, GlobalConfig, effective
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf
from hostd.container import unkept
from hostd.kernel import disks, swaps, topology

GUARANTEES = frozenset(("VMGUARPAGES", "OOMGUARPAGES"))
ALL = GUARANTEES | {"PHYSPAGES", "SWAPPAGES", "IOLIMIT", "IOPSLIMIT", "IOPRIO", "CAPABILITY", "DEVNODES"}

HEADING = "Filename Type Size Used Priority\n"
ZRAM = "/dev/zram0 partition 1048572 0 10\n"


def told(text: str, mode: str = "v1", top: str = "/nowhere") -> tuple[CgroupTree, CtConfig]:
    config = effective(101, VeConf.parse(text), GlobalConfig.from_conf(Paths("/nowhere"), VeConf()))
    return cast(CgroupTree, SimpleNamespace(mode=mode, unified=SimpleNamespace(path=top))), config


def lines(text: str, keys: Set[str] = ALL, mode: str = "v1", top: str = "/nowhere") -> list[str]:
    return list(unkept.lines(*told(text, mode, top), keys))


def starting(text: str, mode: str = "v1") -> list[str]:
    return list(unkept.starting(*told(text, mode)))


@pytest.fixture(autouse=True)
def no_bfq(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "schedulers", lambda path: frozenset({"mq-deadline"}))


@pytest.mark.parametrize("text", ["", 'IOLIMIT="0"\nIOPRIO="4"\nVMGUARPAGES="0:0"\nCAPABILITY="SYS_TIME:off"\n'])
def test_nothing_asked_nothing_said(text: str) -> None:
    assert lines(f'VE_LAYOUT="simfs"\n{text}') == []


def test_rates_need_a_disk_of_its_own() -> None:
    text = 'IOLIMIT="5"\nIOPSLIMIT="5"\n'
    assert lines(text) == []
    text += 'VE_LAYOUT="simfs"\n'
    end = "; layout overlay does"
    assert lines(text) == [f"Warning: layout simfs does not enforce IOLIMIT and IOPSLIMIT{end}"]
    assert lines(text, {"IOPSLIMIT"}) == [f"Warning: layout simfs does not enforce IOPSLIMIT{end}"]


def test_weights_need_a_scheduler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (line,) = lines('IOPRIO="7"\n')
    assert line.startswith("Warning: IOPRIO is only stored: no scheduler with weights (bfq) is at work below /nowhere")
    (tmp_path / "io.cost.qos").write_text("8:0 enable=1 ctrl=auto\n")
    assert lines('IOPRIO="7"\n', mode="v2", top=str(tmp_path)) == []
    monkeypatch.setattr(disks, "schedulers", lambda path: frozenset({"bfq"}))
    assert lines('IOPRIO="7"\n') == []


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What the kernel swaps to: nothing yet."""
    path = tmp_path / "swaps"
    path.write_text(HEADING)
    monkeypatch.setattr(swaps, "TABLE", str(path))
    return path


def test_swap_needs_swap(table: Path) -> None:
    line = "Warning: this host has no swap: the container has its RAM and nothing more, whatever SWAPPAGES says"
    text = 'PHYSPAGES="0:100"\nSWAPPAGES="0:100"\n'
    assert lines(text) == [line]
    assert lines(text, {"PHYSPAGES"}) == starting(text) == []
    assert lines('SWAPPAGES="0:0"\n') == lines('SWAPPAGES="unlimited"\n') == []
    table.write_text(f"{HEADING}{ZRAM}")
    assert lines(text) == []
    table.unlink()
    assert lines(text) == [line]


@pytest.mark.parametrize("ram", ["", 'PHYSPAGES="0:unlimited"\n'])
def test_v1_limits_swap_only_together_with_ram(table: Path, ram: str) -> None:
    table.write_text(f"{HEADING}{ZRAM}")
    line = "Warning: SWAPPAGES is only stored: cgroups v1 limit swap together with RAM, and PHYSPAGES has no limit"
    text = f'{ram}SWAPPAGES="0:0"\n'
    assert lines(text, {"SWAPPAGES"}) == lines(text, {"PHYSPAGES"}) == starting(text) == [line]
    assert starting(text, "hybrid") == [line] and starting(text, "v2") == lines(text, mode="v2") == []
    assert lines(text, {"IOPRIO"}) == lines(f'{ram}SWAPPAGES="0:unlimited"\n') == starting(ram) == []
    assert starting('PHYSPAGES="0:100"\nSWAPPAGES="0:0"\n') == []


def test_guarantees_need_v2() -> None:
    text = 'VMGUARPAGES="100:unlimited"\nOOMGUARPAGES="5"\n'
    assert lines(text) == ["Warning: cgroups v1 do not enforce VMGUARPAGES and OOMGUARPAGES; v2 does"]
    assert lines(text, mode="hybrid") == lines(text) and lines(text, mode="v2") == []
    assert starting(text) == starting(text, "v2") == []


def test_a_guarantee_without_a_number_is_none() -> None:
    text = 'VMGUARPAGES="2147483647"\nOOMGUARPAGES="unlimited"\n'
    start = "Warning: a barrier that is unlimited guarantees nothing: "
    assert lines(text, mode="v2") == starting(text, "v2") == [f"{start}VMGUARPAGES and OOMGUARPAGES"]
    assert lines(text, {"OOMGUARPAGES"}, "v2") == [f"{start}OOMGUARPAGES"]
    assert lines(text) == ["Warning: cgroups v1 do not enforce VMGUARPAGES and OOMGUARPAGES; v2 does"]
    assert starting(text) == []


def test_what_is_not_there() -> None:
    assert lines('DEVNODES="no/where:rw"\n') == ["Warning: the host has no /dev/no/where: DEVNODES without"]
    (line,) = lines('CAPABILITY="SYS_TIME:on NET_RAW:on"\n')
    assert line.startswith("Warning: CAPABILITY SYS_TIME:on has no effect: ")


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """A disk with a partition, and a device mapped to that."""
    disk, mapped = tmp_path / "sda", tmp_path / "dm-0"
    (disk / "queue").mkdir(parents=True)
    (disk / "queue" / "scheduler").write_text("none mq-deadline kyber [bfq]\n")
    (disk / "sda1").mkdir()
    (mapped / "queue").mkdir(parents=True)
    (mapped / "queue" / "scheduler").write_text("none\n")
    (mapped / "slaves").mkdir()
    (mapped / "slaves" / "sda1").symlink_to(disk / "sda1")
    return tmp_path


@pytest.mark.parametrize("device", ["sda", "sda/sda1", "dm-0"])
def test_schedulers_of_what_a_disk_is_made_of(sysfs: Path, device: str) -> None:
    assert disks._of(f"{sysfs}/{device}") == ["bfq"]


def test_a_file_system_without_a_disk(sysfs: Path) -> None:
    assert disks._of(f"{sysfs}/0:33") == []


@pytest.mark.parametrize(
    ("cpumask", "nodemask", "masks"),
    [
        ("", "", ("", "")),
        ("all", "all", ("", "")),
        ("0-1,4", "", ("0-1,4", "")),
        ("auto", "1", ("2-3", "1")),
        ("auto", "0-1", ("0-3", "0-1")),
        ("auto", "all", ("", "")),
        ("auto", "", ("", "")),
        ("1", "1", ("1", "1")),
    ],
)
def test_masks(monkeypatch: pytest.MonkeyPatch, cpumask: str, nodemask: str, masks: tuple[str, str]) -> None:
    monkeypatch.setattr(topology, "processors_of", lambda node: {0: "0-1", 1: "2-3"}[node])
    assert processors.masks(cpumask, nodemask) == masks
