"""What vzlist says is what is so: values are neither cut to others nor read in another way than by a start."""

import os

import pytest

from hostd.command.figures import Usage
from hostd.command.host import Facts
from tests.harness.fake_host import Fake, Said


@pytest.fixture
def fake(tmp_path: os.PathLike[str]) -> Fake:
    """101 runs, 102 is stopped."""
    fake = Fake(str(tmp_path))
    fake.up(101, 'HOSTNAME="web.example.org"\n')
    fake.ct(102)
    return fake


def test_none_of_those_named_is_stopped(fake: Fake) -> None:
    """They are there all the same."""
    assert fake.vzlist("-S", "-Ho", "ctid", "101") == Said(0, "", "")
    assert fake.vzlist("-S", "-j", "101") == Said(0, "[]\n", "")
    assert fake.vzlist("-S1", "101", "102").stdout.split() == ["102"]


def test_figures_are_not_cut(fake: Fake) -> None:
    """A load of 10.05 is not one of 10."""
    fake.host.usages[101] = Usage(load=(12.34, 11.2, 10.05))
    fake.host.states[101] = Facts(exists=True, mounted=True, running=True, uptime=1234 * 86400.0)
    line = "12.34/11.20/10.05 1234d00h:00m:00s web.example.org\n"
    assert fake.vzlist("-Ho", "laverage,uptime,hostname", "101").stdout == line


@pytest.mark.parametrize(("text", "shown"), [("yes ", "yes"), ("on", "yes"), ("OFF", "no"), ("auto", "-"), ("si", "-")])
def test_switches_are_read_as_a_start_reads_them(fake: Fake, text: str, shown: str) -> None:
    fake.ct(102, f'ONBOOT="{text}"\nDISABLED="{text}"\nFEATURES="nfs:ON ppp:off"\n')
    features = "nfs:on,ppp:off"
    disabled = "yes" if shown == "yes" else "no"
    assert fake.vzlist("-Ho", "onboot,disabled,features", "102").stdout.split() == [shown, disabled, features]


def test_without_a_limit_of_ram_it_is_no_vswap(fake: Fake) -> None:
    for physpages, swappages in (("0:unlimited", "0:unlimited"), ("0:2147483647", "0:9"), ("x", "0:9"), ("0:9", "")):
        fake.ct(102, f'PHYSPAGES="{physpages}"\nSWAPPAGES="{swappages}"\n')
        assert fake.vzlist("-Ho", "vswap", "102").stdout.strip() == "no", physpages
