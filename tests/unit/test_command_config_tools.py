"""vzcfgvalidate and vzcfgscale."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from hostd.command.tools import vzcfgvalidate
from hostd.command.tools.machine import Machine
from hostd.config.model import effective
from hostd.config.values import UNLIMITED
from hostd.config.veconf import VeConf
from tests.harness.fake_host import Fake, Said

GIB = 1 << 30
# Fits together in every equation.
CLASSIC = {
    **dict.fromkeys(("NUMPROC", "NUMTCPSOCK", "NUMOTHERSOCK"), "100"),
    **dict.fromkeys(("NUMSIGINFO", "NUMIPTENT", "SHMPAGES"), "256"),
    **dict.fromkeys(("TCPSNDBUF", "TCPRCVBUF", "OTHERSOCKBUF"), "200000:500000"),
    **dict.fromkeys(("VMGUARPAGES", "OOMGUARPAGES"), "10000:unlimited"),
    "DCACHESIZE": "900000:1000000",
    "DGRAMRCVBUF": "200000",
    "KMEMSIZE": "4000000:4400000",
    "LOCKEDPAGES": "32",
    "NUMFILE": "2000",
    "NUMFLOCK": "100:110",
    "NUMPTY": "16",
    "PHYSPAGES": "0:unlimited",
    "PRIVVMPAGES": "20000:22000",
}


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    host = Machine(ram=4 * GIB, swap=1 * GIB, low=4 * GIB, threads=4000)
    monkeypatch.setattr(vzcfgvalidate, "machine", lambda: host)
    return Fake(str(tmp_path))


def write(tmp_path: Path, changed: Mapping[str, str | None] | None = None) -> Path:
    path = tmp_path / "file.conf"
    lines = {**CLASSIC, **(changed or {})}
    text = "".join(f'{key}="{value}"\n' for key, value in lines.items() if value is not None)
    path.write_text(f"# mine\n{text}HOSTNAME=\"a.example.org\"\nCPUUNITS=\"1000\"\n")
    return path


def test_what_fits(fake: Fake, tmp_path: Path) -> None:
    write(tmp_path)
    assert fake.run("vzcfgvalidate", "file.conf") == Said(0, "", "Validation completed: success\n")


def test_without_a_limit_of_ram_it_is_the_classic_set(fake: Fake, tmp_path: Path) -> None:
    """And is not given the limits of another kind."""
    path = write(tmp_path, {"SWAPPAGES": "0:unlimited"})
    before = path.read_text()
    assert fake.run("vzcfgvalidate", "-r", "file.conf") == Said(0, "", "Validation completed: success\n")
    assert path.read_text() == before
    write(tmp_path, {"SWAPPAGES": "0:unlimited", "NUMPROC": "100:120"})
    assert "barrier should be equal to limit for numproc" in fake.run("vzcfgvalidate", "file.conf").stderr


FINDINGS = [
    ({"NUMFILE": "1000", "AVNUMPROC": "40"}, "Warning: numfile should be > 1280 (currently, 1000)", "1280:1280"),
    ({"NUMPROC": "100:120"}, "Error: barrier should be equal to limit for numproc (currently, 100:120)", "120:120"),
    ({"NUMFLOCK": "9:5"}, "Error: barrier should be <= limit for numflock (currently, 9:5)", "9:9"),
    (
        {"VMGUARPAGES": "10000"},
        f"Error: limit should be = {UNLIMITED} for vmguarpages (currently, 10000)",
        "10000:unlimited",
    ),
    (
        {"PHYSPAGES": "5:unlimited"},
        "Error: barrier should be = 0 for physpages (currently, 5)",
        "0:unlimited",
    ),
    (
        {"PRIVVMPAGES": "9000:9500"},
        "Warning: privvmpages.bar should be > 10000 (currently, 9000)",
        "10000:10500",
    ),
    (
        {"TCPSNDBUF": "200000:300000"},
        "Error: tcpsndbuf.lim-tcpsndbuf.bar should be > 256000 (currently, 300000-200000=100000)",
        "200000:456000",
    ),
    (
        {"KMEMSIZE": "2000000:2200000"},
        "Error: kmemsize.bar should be > 3048000 (currently, 2000000)",
        "3048000:3248000",
    ),
    (
        {"DCACHESIZE": "5000"},
        "Warning: dcachesize.lim should be > 768000 (currently, 5000)",
        "5000:768000",
    ),
    ({"DISKSPACE": "2G:1G"}, "Error: barrier should be <= limit for diskspace (currently, 2097152:1048576)", None),
]


@pytest.mark.parametrize(("changed", "text", "right"), FINDINGS, ids=[next(iter(row[0])) for row in FINDINGS])
def test_what_does_not_fit_is_told_and_repaired(
    fake: Fake, tmp_path: Path, changed: dict[str, str], text: str, right: str | None
) -> None:
    path = write(tmp_path, changed)
    before = path.read_text()
    assert fake.run("vzcfgvalidate", "file.conf") == Said(2, "", f"{text}\n")
    assert path.read_text() == before
    said = fake.run("vzcfgvalidate", "-r", "file.conf")
    assert said.code == 0 and said.stderr.startswith(f"{text}\nset to ")
    if right is not None:
        assert VeConf.load(str(path)).get(next(iter(changed))) == right
    assert path.read_text().startswith("# mine\n")
    assert fake.run("vzcfgvalidate", "file.conf").stderr == "Validation completed: success\n"


def test_the_user_is_asked(fake: Fake, tmp_path: Path) -> None:
    path = write(tmp_path, {"NUMPROC": "100:120", "NUMFLOCK": "9:5"})
    before = path.read_text()
    said = fake.run("vzcfgvalidate", "-i", "file.conf", stdin="perhaps\n\nno\n")
    assert said.code == 2 and said.stderr.count("(y/n) [y] ") == 3
    assert path.read_text() == before  # all or nothing
    assert fake.run("vzcfgvalidate", "-i", "file.conf", stdin="y\ny\n").code == 0
    assert VeConf.load(str(path)).get("NUMFLOCK") == "9:9"


@pytest.mark.parametrize("stdin", ["", "y\n"])
def test_nothing_is_repaired_when_nobody_is_there_to_ask(fake: Fake, tmp_path: Path, stdin: str) -> None:
    """Of two questions at most one is answered."""
    path = write(tmp_path, {"NUMPROC": "100:120", "NUMFLOCK": "9:5"})
    before = path.read_text()
    assert fake.run("vzcfgvalidate", "-i", "file.conf", stdin=stdin).code == 2
    assert path.read_text() == before


def test_a_recommendation_is_no_problem(fake: Fake, tmp_path: Path) -> None:
    write(tmp_path, {"DGRAMRCVBUF": "100000"})
    said = fake.run("vzcfgvalidate", "file.conf")
    assert said == Said(
        0,
        "",
        "Recommendation: dgramrcvbuf.bar should be > 132096 (currently, 100000)\nValidation completed: success\n",
    )


def test_vswap(fake: Fake, tmp_path: Path) -> None:
    (tmp_path / "vswap").write_text('PHYSPAGES="5:262144"\nSWAPPAGES="0:524288"\n')
    assert fake.run("vzcfgvalidate", "vswap") == Said(
        2,
        "",
        "Error: physpages.bar should be = 0 (currently, 5)\n"
        "Warning: swappages.lim should be <= 262144 (currently, 524288)\n",
    )
    assert fake.run("vzcfgvalidate", "-v", "no", "vswap").stderr.startswith("Error: parameter numproc not found\n")
    write(tmp_path)
    assert fake.run("vzcfgvalidate", "-v", "yes", "file.conf") == Said(
        2, "", "Error: parameter swappages not found\n"
    )


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        ([], 1, "Usage: vzcfgvalidate [-r|-i] [-v yes|no] FILE"),
        (["none"], 1, "Container configuration file none not found"),
        (["."], 1, "Unable to open .: Is a directory"),
        (["-v", "maybe", "file.conf"], 1, "Invalid argument for -v: maybe"),
    ],
)
def test_vzcfgvalidate_of_what_cannot_be_used(
    fake: Fake, tmp_path: Path, argv: list[str], code: int, text: str
) -> None:
    write(tmp_path)
    assert fake.run("vzcfgvalidate", *argv) == Said(code, "", f"{text}\n")


def test_a_directory_costs_no_descriptor(fake: Fake, tmp_path: Path) -> None:
    fake.run("vzcfgvalidate", ".")
    before = os.listdir("/proc/self/fd")
    fake.run("vzcfgvalidate", ".")
    assert os.listdir("/proc/self/fd") == before


def test_a_value_that_cannot_be_read(fake: Fake, tmp_path: Path) -> None:
    path = write(tmp_path, {"NUMPROC": "many"})
    said = fake.run("vzcfgvalidate", "file.conf")
    assert said == Said(1, "", f'{path}:2: NUMPROC="many": must be a number without a suffix\n')


# vzcfgscale


def scaled(fake: Fake, *argv: str) -> VeConf:
    said = fake.run("vzcfgscale", *argv, "file.conf")
    assert (said.code, said.stderr) == (0, "Scale completed: success\n")
    return VeConf.parse(said.stdout)


def test_each_kind_is_multiplied_by_itself(fake: Fake, tmp_path: Path) -> None:
    write(tmp_path, {"DISKSPACE": "1000:1100", "RATE": "eth0:1:8000 eth1:1:100"})
    conf = scaled(fake, "-u", "2.5", "-c", "0.5")
    assert [conf.get(key) for key in ("NUMPROC", "KMEMSIZE", "PHYSPAGES", "VMGUARPAGES")] == [
        *("250", "10000000:11000000", "0:unlimited", "25000:unlimited"),
    ]
    assert [conf.get(key) for key in ("CPUUNITS", "DISKSPACE", "RATE")] == [
        *("500", "1000:1100", "eth0:1:8000 eth1:1:100"),
    ]
    conf = scaled(fake, "-a", "2")
    assert [conf.get(key) for key in ("NUMPROC", "CPUUNITS", "DISKSPACE", "RATE")] == [
        *("200", "2000", "2000:2200", "eth0:1:16000 eth1:1:200"),
    ]
    assert conf.text().startswith("# mine\n") and conf.get("HOSTNAME") == "a.example.org"
    assert scaled(fake, "-c", "1000").get("CPUUNITS") == "500000"


def test_what_becomes_very_little_can_still_be_started(fake: Fake, tmp_path: Path) -> None:
    few = {"PHYSPAGES": "0:10", "DISKSPACE": "10:11", "DISKINODES": "10:11"}
    write(tmp_path, few)
    conf = scaled(fake, "-a", "0.001")
    assert [conf.get(key) for key in (*few, "NUMPROC", "CPUUNITS")] == ["0:1", "1:1", "1:1", "1", "8"]
    config = effective(101, conf, fake.host.confs.globals())
    assert (config.ram, config.numproc, config.cpuunits) == (4096, 1, 8)


def test_no_limit_is_not_multiplied(fake: Fake, tmp_path: Path) -> None:
    """That of a 32-bit kernel neither; as many bytes are a limit."""
    write(tmp_path, {"PHYSPAGES": "0:2147483647", "NUMFLOCK": "2147483647", "KMEMSIZE": "2147483647"})
    conf = scaled(fake, "-u", "2")
    found = [conf.get(key) for key in ("PHYSPAGES", "NUMFLOCK", "KMEMSIZE", "VMGUARPAGES")]
    assert found == ["0:2147483647", "2147483647", "4294967294", "20000:unlimited"]


def test_what_belongs_to_one_container_is_left_out(fake: Fake, tmp_path: Path) -> None:
    write(tmp_path)
    conf = scaled(fake, "--remove")
    assert conf.get("HOSTNAME") is None and conf.get("NUMPROC") == "100"


def test_output_keeps_what_was_there(fake: Fake, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "out").write_text("old\n")
    assert fake.run("vzcfgscale", "-o", "out", "-u", "2", "file.conf").stdout == ""
    assert VeConf.load(str(tmp_path / "out")).get("NUMPROC") == "200"
    assert (tmp_path / "out.bak").read_text() == "old\n"


def test_what_does_not_fit_is_not_written(fake: Fake, tmp_path: Path) -> None:
    write(tmp_path, {"NUMFLOCK": "9:5"})
    said = fake.run("vzcfgscale", "-v", "-o", "out", "-u", "2", "file.conf")
    assert (said.code, said.stdout) == (1, "") and "numflock (currently, 18:10)" in said.stderr
    assert not os.path.exists(tmp_path / "out")


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["-a", "2"], "Usage: vzcfgscale [options] FILE"),
        (["-a", "nan", "file.conf"], "Bad parameter nan"),
        (["-u", "-1", "file.conf"], "Bad parameter -1"),
        (["-u", "0", "file.conf"], "Bad parameter 0"),
        (["-a", "2", "none"], "No such file none"),
        (["-a", "2", "-o", ".", "file.conf"], "Error: output file . is directory"),
        (["-a", "2", "-o", "fifo", "file.conf"], "Error: output file fifo is not a regular file"),
        (["-a", "2", "-o", "/dev/stdout", "file.conf"],
         "/dev/stdout is another file for hostd than for this command: name a file that both see"),
        (["-a", "2", "-o", "none/out", "file.conf"], "Unable to write none/out: No such file or directory"),
    ],
)  # fmt: skip
def test_vzcfgscale_of_what_cannot_be_used(fake: Fake, tmp_path: Path, argv: list[str], text: str) -> None:
    write(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    assert fake.run("vzcfgscale", *argv) == Said(1, "", f"{text}\n")
    assert not os.path.isfile(tmp_path / "fifo")
