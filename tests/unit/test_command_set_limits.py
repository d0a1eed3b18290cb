"""vzctl set: limits that this host cannot give, or not quite."""

from collections.abc import Callable

import pytest

from hostd.command.host import Facts
from hostd.kernel import topology
from tests.harness.fake_host import Fake, Said


@pytest.mark.parametrize("make", [Fake.ct, Fake.up])
def test_what_this_host_does_not_enforce_is_said(fake: Fake, make: Callable[[Fake, int], str]) -> None:
    """It is what the host can do, and not the option, that is lacking: so only for what was given."""
    fake.host.unable = frozenset(("IOLIMIT", "IOPRIO"))
    make(fake, 101)
    said = fake.ctl("set", "101", "--iolimit", "5", "--iopslimit", "100", "--save")
    assert said.code == 0 and said.stdout.count("Warning: IOLIMIT is not kept\n") == 1
    assert "IOPRIO" not in said.stdout and 'IOLIMIT="5242880"\nIOPSLIMIT="100"\n' in fake.conf(101)


@pytest.mark.parametrize(
    ("given", "line", "stored"),
    [("pages:300", "300", "pages:300"), ("none", "none", "none"), ("privvmpages:2", "20", "privvmpages:2")],
)
def test_memory_that_is_shown(fake: Fake, given: str, line: str, stored: str) -> None:
    fake.up(101, 'PRIVVMPAGES="10:20"\n')
    said = fake.ctl("set", "101", "--meminfo", given, "--save")
    assert (said.stdout.splitlines()[0], said.stderr) == (f"Configure meminfo: {line}", "")
    assert f'MEMINFO="{stored}"\n' in fake.conf(101)


def test_processors_that_the_host_has_not(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topology, "online", lambda kind: {"cpu": "0-3", "node": "0"}[kind])
    fake.up(101, "A=1\n")
    for option, value, line in (
        ("--cpumask", "2-5", 'CPUMASK="2-5": this machine has no processors 4-5 (it has 0-3)'),
        ("--nodemask", "1", 'NODEMASK="1": this machine has no memory nodes 1 (it has 0)'),
    ):
        assert fake.ctl("set", "101", option, value, "--save") == Said(21, "", f"{line}\n")
    assert fake.asked() == [] and fake.conf(101) == "A=1\n"
    said = fake.ctl("set", "101", "--cpumask", "3,1-2", "--nodemask", "all", "--save")
    assert said.stdout.splitlines()[:2] == ["Setting CPU mask: 1-3", "Setting NUMA node mask: all"]
    assert 'CPUMASK="1-3"' in fake.conf(101)


@pytest.mark.parametrize("argv", [("--numproc", "100"), ("--reset_ub",)])
def test_what_it_runs_without_is_no_later_default(fake: Fake, argv: tuple[str, ...]) -> None:
    """A default that has come into vz.conf since the start is nothing that it has: it is still to be written."""
    fake.up(101)
    fake.host.states[101] = Facts(
        exists=True, mounted=True, running=True, live={"NUMPROC": "", "PHYSPAGES": "0:256", "SWAPPAGES": ""}
    )
    with open(fake.paths.vz_conf, "a", encoding="utf-8") as file:
        file.write('NUMPROC="100"\nSWAPPAGES="0:512"\n')
    assert fake.ctl("set", "101", *argv).code == 0
    (change,) = fake.host.changes
    assert (change.before.numproc, change.after.numproc) == (None, 100)
    reset = argv == ("--reset_ub",)
    assert (change.before.swap, change.after.swap) == (None, 2 << 20 if reset else None), "not asked for, no change"
    assert change.after.ram == (None if reset else 1 << 20)


def test_a_setting_that_is_emptied_falls_back_to_the_default(fake: Fake) -> None:
    fake.up(101, 'NAMESERVER="192.0.2.1"\n')
    fake.host.states[101] = Facts(exists=True, mounted=True, running=True, live={"NAMESERVER": "192.0.2.1"})
    assert fake.ctl("set", "101", "--nameserver", "", "--save").code == 0
    (change,) = fake.host.changes
    assert (change.before.nameservers, change.after.nameservers) == (("192.0.2.1",), ("inherit",)), "vz.conf's"


@pytest.mark.parametrize("make", [Fake.ct, Fake.up])
def test_processors_of_no_nodes(fake: Fake, make: Callable[[Fake, int, str], str]) -> None:
    """`auto` would do nothing."""
    make(fake, 101, "A=1\n")
    line = 'CPUMASK="auto" means the processors of the nodes in NODEMASK (give --nodemask as well)\n'
    assert fake.ctl("set", "101", "--cpumask", "auto", "--save") == Said(21, "", line)
    assert fake.conf(101) == "A=1\n" and fake.asked() == []
    assert fake.ctl("set", "101", "--cpumask", "auto", "--nodemask", "all", "--save").code == 0
    make(fake, 102, 'NODEMASK="0"\n')
    assert fake.ctl("set", "102", "--cpumask", "auto", "--save").code == 0


def test_processors_of_nodes_that_only_run(fake: Fake) -> None:
    fake.up(101)
    fake.host.states[101] = Facts(exists=True, mounted=True, running=True, live={"NODEMASK": "0"})
    assert fake.ctl("set", "101", "--cpumask", "auto").code == 0
    assert fake.ctl("set", "101", "--cpumask", "auto", "--save").code == 21, "the file would say so alone"


@pytest.mark.parametrize(
    ("option", "given", "stored"),
    [
        ("iolimit", "9T", "2147483647"),
        ("privvmpages", "99999999999999999999", "unlimited"),
        ("privvmpages", "1:99999999999T", "1:unlimited"),
        ("ram", "9999999999T", "0:2251799813685248"),
    ],
)
def test_more_than_there_can_be_is_told(fake: Fake, option: str, given: str, stored: str) -> None:
    fake.ct(101)
    said = fake.ctl("set", "101", f"--{option}", given, "--save")
    line = f"Warning: --{option} {given} is more than there can be: it becomes {stored}\n"
    assert said.code == 0 and said.stdout.count(line) == 1
    assert f'{option.upper() if option != "ram" else "PHYSPAGES"}="{stored}"\n' in fake.conf(101)


@pytest.mark.parametrize("words", ["--iolimit 2047", "--iolimit unlimited", "--ram unlimited",
                                   "--privvmpages 5:unlimited", "--kmemsize 9223372036854775807"])  # fmt: skip
def test_as_much_as_there_can_be_is_nothing_to_tell(fake: Fake, words: str) -> None:
    fake.ct(101)
    assert "more than" not in fake.ctl("set", "101", *words.split(), "--save").stdout
