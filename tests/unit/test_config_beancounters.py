"""Which sets of beancounters a start takes."""


import pytest

from hostd.config.beancounters import CLASSIC
from hostd.config.skeleton import SAMPLES
from tests.harness.fake_host import Fake

FULL = "".join(f'{key}="1000:1000"\n' for key in CLASSIC if key != "PHYSPAGES") + 'PHYSPAGES="0:unlimited"\n'


@pytest.mark.parametrize(
    "text",
    [
        "",
        'NUMPROC="100"\n',
        'PHYSPAGES="0:65536"\nSWAPPAGES="0:0"\n',
        'PHYSPAGES="0:unlimited"\nSWAPPAGES="0:131072"\nPRIVVMPAGES="1000"\n',
        FULL,
        FULL.replace("DCACHESIZE", "DCACHE"),
        FULL.replace("0:unlimited", "0:2147483647"),
        FULL.replace("0:unlimited", "0:65536"),
    ],
)
def test_complete(fake: Fake, text: str) -> None:
    fake.ct(101, text)
    assert fake.ctl("start", "101").code == 0


VSWAP_TEXT = "SWAPPAGES is missing beside PHYSPAGES (set --swap)"
CLASSIC_TEXT = "UBC parameters are missing: {} (set them, or only PHYSPAGES and SWAPPAGES)"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('PHYSPAGES="0:65536"\n', VSWAP_TEXT),
        ('PHYSPAGES="0:65536"\nNUMPROC="100"\n', VSWAP_TEXT),
        (FULL.replace("KMEMSIZE", "OLD").replace("0:unlimited", "0:65536"), CLASSIC_TEXT.format("KMEMSIZE")),
        (FULL.replace("KMEMSIZE", "OLD"), CLASSIC_TEXT.format("KMEMSIZE")),
        (FULL.replace("NUMFLOCK", "OLD").replace("NUMPTY", "OLDER"), CLASSIC_TEXT.format("NUMFLOCK NUMPTY")),
        (FULL.replace("PHYSPAGES", "OLD"), CLASSIC_TEXT.format("PHYSPAGES")),
    ],
)
@pytest.mark.parametrize("verb", ["start", "restart"])
def test_incomplete(fake: Fake, verb: str, text: str, line: str) -> None:
    fake.ct(101, text)
    said = fake.ctl(verb, "101")
    assert (said.code, said.stderr) == (28, f"{fake.paths.ct_conf(101)}: {line}\n")
    assert not fake.host.calls, "it was stopped, or started"


def test_vz_conf_may_have_the_rest(fake: Fake) -> None:
    with open(fake.paths.vz_conf, "a", encoding="ascii") as file:
        file.write('SWAPPAGES="0:0"\n')
    fake.ct(101, 'PHYSPAGES="0:65536"\n')
    assert fake.ctl("start", "101").code == 0


@pytest.mark.parametrize("sample", SAMPLES)
def test_our_samples_are_complete(fake: Fake, sample: str) -> None:
    with open(f"{fake.paths.conf_dir}/{sample}", encoding="ascii") as file:
        fake.ct(101, file.read())
    assert fake.ctl("start", "101").code == 0


@pytest.mark.parametrize("vswap", ["yes", "no"])
def test_the_light_sample_has_every_parameter_and_they_fit(fake: Fake, vswap: str) -> None:
    """Of the classic equations but the one by which there would be no limit of RAM."""
    said = fake.run("vzcfgvalidate", "-v", vswap, fake.paths.sample_conf("light"))
    about_ram = [line for line in said.stderr.splitlines() if "physpages" in line or "swappages" in line]
    assert said.stderr.splitlines() in (about_ram, ["Validation completed: success"])
