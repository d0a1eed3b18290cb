"""A container's /sys/devices/system/cpu: which processors are listed, which are found, and where the links lead."""

import posix
import time
from itertools import islice

import pytest

from hostd.proc import processors, wire
from hostd.proc.caller import Cgroups
from hostd.proc.points import CPU
from hostd.proc.tree import Tree

NAMES = {
    CPU: ["cpu0", "cpu1", "cpu2", "cpu10", "cpufreq", "cpuidle", "online", "possible", "cpu", "cpu01", "power"],
    **{f"{CPU}/cpu{number}": ["topology", "cache", "online", "cpu0", "node0"] for number in (0, 1, 2, 10)},
}
KERNELS_LINKS = {f"{CPU}/cpu{number}/node0": "../../node/node0" for number in (0, 1, 2, 10)}
LINKS = {"cpufreq", "cpuidle", "possible", "cpu", "cpu01", "power"}


class Machine:
    """The kernel's directories; *online*: what the container sees to be that."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names = {path: list(names) for path, names in NAMES.items()}
        self.online = b"0-1\n"
        self.now, self.asked = 1000.0, 0
        monkeypatch.setattr(posix, "listdir", self.listdir)
        monkeypatch.setattr(posix, "readlink", self.readlink)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        self.tree = Tree(Cgroups("vz", {}), lambda pid: self.online)
        self.top = self.tree.find(wire.ROOT, "cpu-101")

    def readlink(self, path: str) -> str:
        if path not in KERNELS_LINKS:
            raise OSError(22, "Invalid argument", path)
        return KERNELS_LINKS[path]

    def listdir(self, path: str) -> list[str]:
        self.asked += 1
        if path not in self.names:
            raise FileNotFoundError(path)
        return self.names[path]

    def names_in(self, directory: int) -> dict[str, int]:
        """As the kernel goes through it: from one part to the next."""
        found: dict[str, int] = {}
        start = 0
        while part := list(islice(self.tree.entries(directory, start, 1), 4)):
            for name, node, mode, _ in part:
                assert (self.tree.kind(node) or (0,))[0] == mode or name == "..", name
                found[name] = node
            start = part[-1][3]
        return found


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def cpus(machine: Machine) -> list[str]:
    return [name for name in machine.names_in(machine.top) if name[3:].isdigit() and name != "cpu01"]


def test_those_that_it_may_use_are_listed_and_all_are_found(machine: Machine) -> None:
    assert set(machine.names_in(machine.top)) == {".", "..", ".vz", "online", "cpu0", "cpu1"} | LINKS
    for listed, online in ((["cpu0"], b"0\n"), (["cpu1", "cpu10"], b"1,10\n"), (["cpu0", "cpu1", "cpu2"], b"0-9\n")):
        machine.online = online
        assert cpus(machine) == listed
    assert {machine.tree.kind(machine.tree.find(machine.top, name)) for name in NAMES[CPU][:4]} == {wire.DIRECTORY}
    for name in ("cpu3", "cpu-1", "cpu65536", "cpu\u0661", "nothing", "cpu" + "9" * 200):
        assert machine.tree.find(machine.top, name) == 0


def test_links_lead_to_the_kernels(machine: Machine) -> None:
    find, target = machine.tree.find, machine.tree.target
    assert {target(find(machine.top, name)).decode() for name in LINKS} == {f".vz/{name}" for name in LINKS}
    for number in (0, 10):
        directory = find(machine.top, f"cpu{number}")
        found = machine.names_in(directory)
        assert set(found) == {".", "..", "topology", "cache", "online", "cpu0", "node0"}
        assert (found["."], found[".."]) == (directory, machine.top)
        assert target(found["topology"]) == f"../.vz/cpu{number}/topology".encode()
        assert find(directory, "topology") == found["topology"] and find(directory, "nothing") == 0
        assert target(found["node0"]) == b"../../node/node0", "from the same place as the kernel's"
    assert machine.tree.file(find(machine.top, "online")) == "online"
    hidden = find(machine.top, ".vz")
    assert set(machine.names_in(hidden)) == {".", ".."} and find(hidden, "cpu0") == find(hidden, "online") == 0


def test_directories_are_a_container_s_own_and_links_are_those_of_all(machine: Machine) -> None:
    other = machine.tree.find(wire.ROOT, "cpu-2147483647")
    mine, theirs = machine.names_in(machine.top), machine.names_in(other)
    assert {name for name in mine if mine[name] != theirs[name]} == {".", ".vz", "cpu0", "cpu1"}
    assert max(theirs.values()) < 1 << 63 and not set(theirs.values()) & {mine["."], mine["cpu0"]}
    assert machine.tree.find(wire.ROOT, "cpu-0") == machine.tree.find(wire.ROOT, "cpu-2147483648") == 0
    assert machine.tree.find(wire.ROOT, "cpu-0101") == machine.tree.find(machine.top, "cpu-102") == 0


def test_a_processor_that_is_taken_out(machine: Machine) -> None:
    """Its directory may be open."""
    directory = machine.tree.find(machine.top, "cpu1")
    link = machine.tree.find(directory, "topology")
    del machine.names[f"{CPU}/cpu1"]
    machine.names[CPU].remove("cpu1")
    machine.now += 61
    assert machine.tree.kind(directory) is None and machine.tree.kind(link) is None
    assert cpus(machine) == ["cpu0"] and machine.tree.find(machine.top, "cpu1") == 0


def test_who_asks_often_costs_the_others_little(machine: Machine) -> None:
    for _ in range(50):
        cpus(machine)
        machine.tree.find(machine.top, "nothing")
        machine.tree.target(machine.tree.find(machine.tree.find(machine.top, "cpu1"), "topology"))
    assert machine.asked == 2


def test_what_is_remembered_has_an_end(machine: Machine) -> None:
    for number in range(1000):
        machine.names[CPU].append(f"cpu{number + 100}")
        machine.names[f"{CPU}/cpu{number + 100}"] = ["topology"]
    for number in range(100, 1100):
        directory = machine.tree.find(machine.top, f"cpu{number}")
        assert machine.tree.target(machine.tree.find(directory, "topology")) == f"../.vz/cpu{number}/topology".encode()
    assert len(machine.tree._processors._links) <= 64


def test_numbers_are_nobody_else_s() -> None:
    one = processors.Processors()
    for node in (0, 1, 128, 1 << 40, 1 << 60, 1 << 63):
        assert not processors.is_one(node) or one.kind(node) is None


def test_this_machine_has_them() -> None:
    names = [name for name, *_ in processors.Processors().entries(processors.of_container(101), 0, [0])]
    assert {"cpu0", "online", "possible"} <= set(names) and len(names) == len(set(names))


def test_numbers_that_programs_are_told(machine: Machine) -> None:
    """stat(2) and readdir(3) of 32 bits fail with larger ones."""
    directories = (machine.top, machine.tree.find(machine.top, "cpu0"))
    nodes = [node for directory in directories for node in machine.names_in(directory).values()]
    shown = {wire._shown(node) for node in nodes}
    assert len(shown) == len(set(nodes)) and max(shown) < 1 << 32
    assert wire._shown(128) == 128
