"""vzcalc, vzmemcheck, vzcpucheck, vzsplit: figures of a host that the test makes up."""

import os
from pathlib import Path

import pytest

from hostd.cli import place
from hostd.command import offline
from hostd.command.figures import Counter, Usage
from hostd.command.host import Facts
from hostd.command.programs import BY_NAME, PROGRAMS, module
from hostd.command.tools import machine, shares
from hostd.command.tools.machine import Machine
from hostd.config import beancounters
from hostd.config.model import effective
from hostd.config.veconf import VeConf
from tests.harness.fake_host import Fake, Said

UP = Facts(exists=True, mounted=True, running=True)
GIB = 1 << 30
HOST = Machine(ram=8 * GIB, swap=8 * GIB, low=8 * GIB, threads=4000)
VSWAP = 'PHYSPAGES="0:262144"\nSWAPPAGES="0:524288"\nNUMPROC="400"\nCPUUNITS="2000"\n'  # 1 and 2 GiB


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """101 runs with 1 GiB of RAM, half of it used, 102 without limits, 103 is stopped."""
    fake = Fake(str(tmp_path))
    fake.ct(101, VSWAP)
    fake.ct(102)
    for ctid in (101, 102):
        fake.host.states[ctid] = UP
    fake.ct(103, VSWAP)
    fake.host.usages[101] = Usage(
        counters={
            "physpages": Counter(131072),
            "swappages": Counter(65536),
            "kmemsize": Counter(GIB // 16),
            "numproc": Counter(40),
        }
    )
    monkeypatch.setattr(machine, "machine", lambda: HOST)
    for name in ("vzcalc", "vzmemcheck", "vzcfgvalidate"):
        monkeypatch.setattr(module(name), "machine", lambda: HOST)
    return fake


def test_vzmemcheck(fake: Fake) -> None:
    heads = (
        " LowMem  LowMem     RAM MemSwap MemSwap   Alloc   Alloc   Alloc\n",
        "   util  commit    util    util  commit    util  commit   limit\n",
    )
    assert fake.run("vzmemcheck") == Said(
        0,
        "Output values in %\n" + "".join(heads) + "   1.95  281.25    6.25    4.69   56.25    4.69   68.75  118.75\n",
        "",
    )
    lines = fake.run("vzmemcheck", "-vA").stdout.splitlines()
    assert lines[0] == "Output values in Mbytes"
    assert lines[1] == "CTID       " + heads[0].rstrip("\n")
    assert lines[3] == "101          64.00 1024.00  512.00  768.00 1024.00  768.00 3072.00 3072.00"
    assert lines[4].split() == ["102", "0.00", "8192.00", "0.00", "0.00", "8192.00", "0.00", "8192.00", "16384.00"]
    assert lines[5] == "-" * 74
    assert lines[6].split()[:3] == ["Summary:", "64.00", "9216.00"]
    assert lines[7].split() == ["3276.80", "3276.80", "8192.00", *["16384.00"] * 5]


def test_vzcalc(fake: Fake) -> None:
    assert fake.run("vzcalc", "101") == Said(
        0,
        "Resource     Current(%)  Promised(%)  Max(%)\nMemory           6.25      31.25      31.25\n",
        "",
    )
    assert fake.run("vzcalc", "-v", "101").stdout.splitlines()[1:] == [
        "Low Mem          1.95      31.25      31.25",
        "Total RAM        6.25        n/a        n/a",
        "Mem + Swap       4.69       6.25        n/a",
        "Alloc. Mem       4.69      18.75      18.75",
        "Num. Proc        1.00        n/a      10.00",
        "-" * 44,
        "Memory           6.25      31.25      31.25",
    ]
    assert fake.run("vzcalc", "103").stdout.splitlines()[1] == "Memory            n/a      31.25      31.25"


def test_vzcpucheck(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpu_power", lambda: 260000)
    assert fake.run("vzcpucheck") == Said(0, "Current CPU utilization: 3000\nPower of the node: 260000\n", "")
    monkeypatch.setattr(machine, "cpu_power", lambda: 2500)
    assert fake.run("vzcpucheck", "-v").stdout == (
        "VEID\t\tCPUUNITS\n-------------------------\n101\t\t2000\n102\t\t1000\n"
        "Current CPU utilization: 3000\nPower of the node: 2500\nWarning: hardware node is overcommitted\n"
    )


def test_the_host_as_proc_has_it(tmp_path: Path) -> None:
    (tmp_path / "sys/kernel").mkdir(parents=True)
    (tmp_path / "sys/kernel/threads-max").write_text("7000\n")
    (tmp_path / "meminfo").write_text("MemTotal:       8388608 kB\nSwapTotal:      1024 kB\nHugePages_Total:  0\n")
    (tmp_path / "cpuinfo").write_text("bogomips\t: 5200.00\nmodel: x\n\nBogoMIPS\t: 5200.00\n")
    assert machine.machine(str(tmp_path)) == Machine(8 * GIB, 1 << 20, 8 * GIB, 7000)
    assert machine.cpu_power(str(tmp_path)) == 260000


# vzsplit


def test_vzsplit_of_vswap(fake: Fake) -> None:
    said = fake.run("vzsplit", "-n", "4")
    conf = VeConf.parse(said.stdout)
    assert (said.code, said.stderr, conf.warnings) == (0, "", [])
    pages = int((conf.get("PHYSPAGES") or "").removeprefix("0:"))
    assert pages * 4 * 4096 <= HOST.ram + HOST.swap
    assert conf.get("SWAPPAGES") == f"0:{2 * pages}"
    assert conf.get("NUMPROC") == conf.get("KMEMSIZE") == "unlimited" and conf.get("VMGUARPAGES") == "0:unlimited"
    assert conf.get("CPUUNITS") == "1000" and ":" in (conf.get("DISKSPACE") or "")
    usable(fake, conf)


@pytest.mark.parametrize("containers", [1, 2, 4, 20, 100])
def test_vzsplit_of_the_classic_set_is_valid(fake: Fake, tmp_path: Path, containers: int) -> None:
    said = fake.run("vzsplit", "-n", str(containers), "-v", "no")
    assert said.code == 0, said.stderr
    usable(fake, VeConf.parse(said.stdout))
    (tmp_path / "conf").write_text(said.stdout)
    judged = fake.run("vzcfgvalidate", "conf")
    assert "Error" not in judged.stderr, judged.stderr


def usable(fake: Fake, conf: VeConf) -> None:
    """A container can be started with it."""
    globals = fake.host.confs.globals()
    beancounters.check(effective(101, conf, globals), globals)


def test_a_sample_is_written_once(fake: Fake) -> None:
    path = fake.paths.sample_conf("quarter")
    assert fake.run("vzsplit", "-f", "quarter", stdin="4\n") == Said(
        0, "Enter the number of containers: ", f"Config {path} was created\n"
    )
    assert VeConf.load(path).get("SWAPPAGES")
    assert fake.run("vzsplit", "-n", "4", "-f", "quarter") == Said(1, "", f"File {path} already exist\n")


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["-n", "many"], "Invalid argument for -n: many"),
        (["-n", "9" * 5000], f"Invalid argument for -n: {'9' * 5000}"),
        (["-n", "0"], "Incorrect value for number of containers."),
        (["-s", "-1", "-n", "1"], "Invalid argument for -s: -1"),
        (["-v", "maybe", "-n", "1"], "Invalid argument for -v: maybe"),
        (["-n", "1", "-f", "../x"], "Invalid argument for -f: ../x: must be a plain name without / and blanks"),
        (["-n", "100000"], f"100000 containers can not be allocated. The maximum allowed value is "
                           f"{shares.most_containers(HOST)}"),
        (["4"], "Usage: vzsplit [-n NUMBER] [-f NAME] [-s KB] [-v yes|no]"),
    ],
)  # fmt: skip
def test_vzsplit_of_what_cannot_be(fake: Fake, argv: list[str], text: str) -> None:
    assert fake.run("vzsplit", *argv) == Said(1, "", f"{text}\n")


def test_a_disk_of_any_number_of_files_is_shared_out(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of btrfs, which says 0; one that is too small is told."""
    monkeypatch.setattr(machine, "disk", lambda path: (1 << 30, 0))
    said = fake.run("vzsplit", "-n", "4")
    conf = VeConf.parse(said.stdout)
    assert said.stderr == "" and int((conf.get("DISKSPACE") or "").partition(":")[2]) > 100 << 20
    monkeypatch.setattr(machine, "disk", lambda path: (1 << 20, 1 << 20))
    said = fake.run("vzsplit", "-n", "4")
    assert 'DISKSPACE="204800:225280"' in said.stdout and "has too little room for 4" in said.stderr


# all of them


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("vzcalc", 1, "Usage: vzcalc [-v] CTID|NAME"),
        ("vzcalc frob", 1, "Invalid CT ID: frob"),
        ("vzcalc -x 101", 1, "vzcalc: invalid option -- 'x'"),
        ("vzmemcheck now", 1, "Usage: vzmemcheck [-v] [-A]"),
        ("vzcpucheck now", 2, "Usage: vzcpucheck [-v]"),
        ("vzcpucheck --frob", 2, "vzcpucheck: unrecognized option '--frob'"),
    ],
)
def test_what_cannot_be_used_is_one_line(fake: Fake, line: str, code: int, text: str) -> None:
    prog, *argv = line.split()
    assert fake.run(prog, *argv) == Said(code, "", f"{text}\n")


def test_an_unknown_container(fake: Fake) -> None:
    path = fake.paths.ct_conf(999)
    assert fake.run("vzcalc", "999") == Said(1, "", f"Container configuration file: {path} not found\n")


@pytest.mark.parametrize("program", [program.name for program in PROGRAMS])
def test_help_and_who_may(fake: Fake, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for option in ("-h", "--help"):
        said = fake.run(program, option)
        assert (said.code, said.stderr) == (0, "") and said.stdout.startswith(f"Usage: {program} ")
    monkeypatch.setattr(type(fake.session), "uid", 1000)
    assert fake.run(program) == Said(1, "", f"Only root can use {program}\n")
    assert fake.run(program, "--help").code == 0


def test_every_program_is_a_command_and_has_its_page() -> None:
    assert {*BY_NAME, "vzctl", "vzlist", "vz"} == set(place.PROGRAMS)
    pages = os.listdir(os.path.join(os.path.dirname(__file__), "../../docs/man"))
    assert {f"{name}.8" for name in place.PROGRAMS} <= set(pages)


def test_what_is_answered_without_a_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VZ_PREFIX", str(tmp_path))
    monkeypatch.setattr(offline._Terminal, "uid", 0)
    assert offline.answer("vzubc", ["-x"]) == (1, "", "Unrecognized option: -x\n")
    found = offline.answer("vzcfgscale", ["--help"])
    assert found is not None and found[1].startswith("Usage: vzcfgscale")
    for line in ("vzubc", "vzubc -f -", "vzmemcheck", "vzcfgvalidate file"):
        prog, *argv = line.split()
        assert offline.answer(prog, argv) is None
