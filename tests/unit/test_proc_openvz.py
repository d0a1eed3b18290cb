"""A /proc with OpenVZ's files: its names, its links, its processes, and what the files say."""

import os
import posix
import time
from itertools import islice
from pathlib import Path

import pytest

from hostd.checkpoint import restore, saved
from hostd.proc import openvz, processes, tree, wire
from hostd.proc.caller import Cgroups, Group
from hostd.proc.points import POINTS
from hostd.proc.tree import Tree


class Kernel:
    """Its names in /proc."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names = ["1", "4711", "self", "meminfo", "cpuinfo", "mounts", "sys", "vz"]
        self.now = 1000.0
        monkeypatch.setattr(posix, "listdir", lambda path: list(self.names))
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


@pytest.fixture
def made(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """Asked by a process of container 101."""
    made = Tree(Cgroups("vz", {}), lambda pid: b"0-1")
    monkeypatch.setattr(made._cgroups, "of", lambda pid: Group(made._cgroups, "101") if pid == 1 else None)
    return made


def names(made: Tree, directory: int, pid: int = 2) -> dict[str, int]:
    """As the kernel goes through it: from one part to the next."""
    found: dict[str, int] = {}
    start = 0
    while part := list(islice(made.entries(directory, start, pid), 7)):
        found |= {name: node for name, node, _, _ in part}
        start = part[-1][3]
    return found


def test_names_of_the_kernel_are_links_to_it_and_figures_are_files(made: Tree) -> None:
    found = names(made, tree.PROC)
    assert set(found) == {".", "..", ".vz", "vz", "user_beancounters", "self", "mounts", "sys"} | {
        name for name, point in POINTS.items() if point.startswith("/proc/")
    }
    for name in ("self", "mounts", "sys"):
        assert made.find(tree.PROC, name) == found[name]
        assert made.target(found[name]) == f".vz/{name}".encode()
        assert made.kind(found[name]) == (0o120777, 1, len(name) + 4)
    assert made.file(found["meminfo"]) == "meminfo" and made.find(wire.ROOT, "meminfo") == found["meminfo"]
    assert made.kind(found["vz"]) == made.kind(found[".vz"]) == wire.DIRECTORY
    assert names(made, found[".vz"]).keys() == {".", ".."}
    assert names(made, found["vz"]).keys() == {".", "..", "veinfo", "veip", "vestat", "version", "vswap"}
    assert made.find(tree.PROC, "bc") == 0, "by that OpenVZ's hosts are told from its containers"


def test_a_container_has_directories_of_its_own_with_what_is_in_those_of_all(made: Tree) -> None:
    """The kernel locks them.  What those of an earlier hostd are called stays as it was."""
    shared, first, second = (made.find(wire.ROOT, name) for name in ("openvz", "openvz-101", "openvz-102"))
    assert shared == tree.PROC == 128 and first > 1 << 40 and len({shared, first, second}) == 3
    for directory in (first, second):
        own, all_have = names(made, directory), names(made, shared)
        different = {name for name in own if own[name] != all_have[name]}
        assert own.keys() == all_have.keys() and different == {".", ".vz", "vz"}
        assert all(made.find(directory, name) == own[name] for name in own if name not in (".", ".."))
        assert made.find(directory, "300") == made.find(shared, "300") > 0
        for name in ("vz", ".vz"):
            below = names(made, own[name])
            assert (below["."], below[".."]) == (own[name], directory)
            assert made.find(own[name], "veip") == made.find(all_have[name], "veip")
    assert names(made, first)["vz"] != names(made, second)["vz"]
    assert made.find(first, "openvz-102") == made.find(shared, "openvz-101") == 0
    assert made.kind(first + 3) is None


@pytest.mark.parametrize("number", ["0", "-1", "0101", "1x", "", "²", "2147483648", "9" * 30, "101-102"])
def test_no_other_name_is_a_container_s(made: Tree, number: str) -> None:
    assert made.find(wire.ROOT, f"openvz-{number}") == 0


@pytest.mark.parametrize("name", ["1", "4194304", "300"])
def test_every_number_is_a_link(made: Tree, name: str) -> None:
    """That leads nowhere where there is no such process: to know that is the kernel's."""
    assert made.target(made.find(tree.PROC, name)) == f".vz/{name}".encode()


@pytest.mark.parametrize("name", ["0", "01", "4194305", "9" * 11, "-1", "1x", "²", "..", "", "bc", "etc", "a" * 200])
def test_nothing_else_is_there(made: Tree, name: str) -> None:
    assert made.find(tree.PROC, name) == 0


def test_links_lead_nowhere_but_into_the_kernels(made: Tree) -> None:
    nodes = [*range(300), *((1 << bits) + more for bits in range(8, 63) for more in (0, 1, 77))]
    targets = {made.target(node) for node in nodes} - {b""}
    assert targets and all(target.startswith(b".vz/") and target.count(b"/") == 1 for target in targets)


def test_numbers_are_looked_for_in_proc_alone(made: Tree) -> None:
    assert made.find(wire.ROOT, "1") == made.find(tree.VZ, "1") == made.find(tree.HIDDEN, "self") == 0


def test_a_node_is_the_same_name_for_every_server(kernel: Kernel, made: Tree) -> None:
    """The kernel remembers it for ever; another server may run on another day."""
    before = made.find(tree.PROC, "sys")
    kernel.names = ["acpi", "sys", "zoneinfo"]
    after = Tree(Cgroups("vz", {}), lambda pid: b"0-1")
    assert after.target(before) == b".vz/sys" and after.find(tree.PROC, "sys") == before < 1 << 32


def test_what_a_module_brings_is_found_later(kernel: Kernel, made: Tree) -> None:
    assert made.find(tree.PROC, "mdstat") == 0
    kernel.names.append("mdstat")
    kernel.now += 61
    assert made.target(made.find(tree.PROC, "mdstat")) == b".vz/mdstat"


def test_a_container_is_shown_its_own_processes(made: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, in parts; a process of the host's none."""
    inside = {outside: outside - 500 for outside in range(600, 900)}
    asked: list[str] = []

    def outside(group: Group) -> set[int]:
        asked.append(group.number)
        return set(inside)

    monkeypatch.setattr(processes, "outside", outside)
    monkeypatch.setattr(processes, "_inside", lambda pid: inside.get(pid, 0))
    shown = [name for name in names(made, tree.PROC, pid=1) if name.isdigit()]
    assert shown == [str(own) for own in inside.values()]
    assert asked == ["101"], "once for all parts"
    inside[950] = 450
    assert "450" in names(made, tree.PROC, pid=1), "one that was started a moment ago"
    assert [name for name in names(made, tree.PROC, pid=2) if name.isdigit()] == []
    assert [name for name in names(made, wire.ROOT, pid=1) if name.isdigit()] == []
    own = names(made, made.find(wire.ROOT, "openvz-101"), pid=1)
    assert [name for name in own if name.isdigit()] == [*shown, "450"]


def group(tmp_path: Path, texts: dict[str, str]) -> Group:
    for place, text in texts.items():
        directory = tmp_path / "vz" / "101" / place
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "cgroup.procs").write_text(text)
    return Group(Cgroups("vz", {"unified": str(tmp_path)}), "101")


def test_processes_of_cgroups_below_by_their_numbers_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has ended meanwhile (13), or has no number inside (15), is passed over, and not looked at again."""
    own = {11: 1, 12: 5, 14: 9, 16: 7}
    looked: list[int] = []

    def inside(pid: int) -> int:
        looked.append(pid)
        return own.get(pid, 0)

    monkeypatch.setattr(processes, "_inside", inside)
    of = group(tmp_path, {"": "12\n11\n", "a": "16\n13\n", "a/b": "14\n15\n0\n"})
    assert processes.outside(of) == {0, 11, 12, 13, 14, 15, 16}
    pids = [11, 12, 13, 14, 15, 16]
    assert list(processes.numbers(pids, 12, 2)) == [(12, 5), (14, 9)] and looked == [12, 13, 14]
    assert list(processes.numbers(pids, 0, 64)) == [(11, 1), (12, 5), (14, 9), (16, 7)]
    assert looked[3:] == [11, 12, 14, 15, 16]
    assert list(processes.numbers(pids, 17, 64)) == []
    own.clear()
    assert list(processes.numbers(pids, 0, 64)) == [] and not pids


def test_there_is_an_end_to_cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def whole(path: str) -> bytes:
        looked.append(path)
        return b""

    monkeypatch.setattr(processes, "whole", whole)
    monkeypatch.setattr(processes, "_MOST_GROUPS", 5)
    assert processes.outside(group(tmp_path, {f"{number}": "" for number in range(20)})) == set()
    assert len(looked) == 5


def test_the_number_of_a_process_inside() -> None:
    """Of one in a namespace of its own; ours are in the host's alone."""
    assert processes._inside(os.getpid()) == 0
    assert processes._inside(1 << 22) == 0


def test_files_of_openvz_have_its_formats() -> None:
    assert openvz.veinfo(101, 7, []) == b"       101     2     7\n"
    both = openvz.veinfo(101, 7, ["192.0.2.1", "2001:db8::1"]).decode()
    assert both == f"       101     2     7 {'192.0.2.1':>15} {'2001:db8::1':>39}\n"
    assert openvz.veip(101, ["192.0.2.1"]).decode() == f"Version: 2.5\n{'192.0.2.1':>39}        101\n"
    version, head, row = openvz.vestat(101, 300, 50, 20 * 10**9, 2).decode().splitlines()
    assert version == "Version: 2.2" and head.split()[:5] == ["VEID", "user", "nice", "system", "uptime"]
    assert len(head) == len(row) == 10 + 11 * 21
    cycles = [40 * 10**9 - 35 * 10**8, 0, 20 * 10**9, 35 * 10**8]
    assert list(map(int, row.split())) == [101, 300, 0, 50, 2000, *cycles, 0, 0, 0]


def test_a_checkpoint_has_either_files_or_a_whole_proc() -> None:
    plain, whole = saved.external(openvz=False), saved.external(openvz=True)
    assert "/proc" not in plain and "/proc/meminfo" in plain
    assert [point for point in whole if point.startswith("/proc")] == ["/proc", "/proc/.vz/sys/kernel/random/boot_id"]
    assert {*plain, *whole} <= set(restore.PLACES)
