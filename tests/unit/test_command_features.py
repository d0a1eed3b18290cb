"""--features: OpenVZ's names and ours, what is said of each, and what they give."""


import pytest

from hostd.config.model import GlobalConfig, effective
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf
from hostd.container import devices
from hostd.container.devices import FUSE, TUN
from tests.harness.fake_host import Fake, Said

KEPT = "is stored, and not enforced yet\n"


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("nesting:on", "nesting:on"),
        ("NFS:on,ppp:off", "nfs:on ppp:off"),
        ("fuse:on tun:off", "fuse:on tun:off"),
        ("sit:on,sit:off", "sit:off"),
    ],
)
def test_normal_form(fake: Fake, given: str, stored: str) -> None:
    fake.ct(101, "A=1\n")
    assert fake.ctl("set", "101", "--features", given, "--save").code == 0
    assert f'FEATURES="{stored}"\n' in fake.conf(101)


@pytest.mark.parametrize(
    ("given", "why"),
    [("nest:on", "nest is unknown; known are bridge, fuse, "), ("nesting", "must be nesting:on or nesting:off"),
     ("nesting:yes", "must be on or off")],
)  # fmt: skip
def test_what_cannot_be_is_told_in_a_line(fake: Fake, given: str, why: str) -> None:
    fake.ct(101, "A=1\n")
    said = fake.ctl("set", "101", "--features", given, "--save")
    assert said.code == 21 and said.stderr.startswith(f"Bad parameter for --features: {given}") and why in said.stderr
    assert fake.conf(101) == "A=1\n"


def test_others_stay_and_only_what_is_given_is_spoken_of(fake: Fake) -> None:
    fake.ct(101, 'FEATURES="nfs:on"\n')
    said = fake.ctl("set", "101", "--features", "nesting:on", "--save")
    assert said.code == 0 and KEPT not in said.stdout
    assert 'FEATURES="nfs:on nesting:on"\n' in fake.conf(101)
    assert f"Warning: --features nfs {KEPT}" in fake.ctl("set", "101", "--features", "nfs:off", "--save").stdout


def test_a_running_container_takes_none_of_them_over(fake: Fake) -> None:
    fake.up(101, "A=1\n")
    refused = "Unable to change --features of a running container (use --save)\n"
    assert fake.ctl("set", "101", "--features", "nesting:on") == Said(32, "", refused)
    said = fake.ctl("set", "101", "--features", "nesting:on,nfs:on", "--save")
    assert f"--features nfs {KEPT}" in said.stdout and "--features takes effect after a restart" in said.stdout
    said = fake.ctl("set", "101", "--features", "nfs:off", "--save")
    assert "takes effect" not in said.stdout, "it does not"


@pytest.mark.parametrize("running", ["tun:on", ""])
@pytest.mark.parametrize("words", ["--cpuunits 9", "--cpuunits 9 --features tun:on,fuse:on --save"])
def test_what_waits_for_a_restart_is_no_part_of_a_later_change(fake: Fake, running: str, words: str) -> None:
    """Whatever the file says of them by now, and this very change."""
    fake.up(101, 'FEATURES="tun:off nesting:on"\n')
    fake.host.states[101] = fake.host.states[101]._replace(live={"FEATURES": running})
    assert fake.ctl("set", "101", *words.split()).code == 0
    (change,) = fake.host.changes
    assert (change.before.cpuunits, change.after.cpuunits) == (1000, 9)
    for config in (change.before, change.after):
        assert devices.of(config) == ((TUN,) if running else ())


def test_what_an_older_hostd_has_started_has_what_the_file_says(fake: Fake) -> None:
    fake.up(101, 'FEATURES="tun:on"\n')
    fake.ctl("set", "101", "--cpuunits", "9")
    (change,) = fake.host.changes
    assert devices.of(change.before) == devices.of(change.after) == (TUN,)


@pytest.mark.parametrize(
    ("text", "given", "nesting"),
    [
        ("", (), False),
        ('FEATURES="nesting:on"\n', (FUSE, TUN), True),
        ('FEATURES="fuse:on,nfs:on"\n', (FUSE,), False),
        ('FEATURES="tun:on fuse:off nesting:off"\n', (TUN,), False),
        ('FEATURES="nesting:on tun:on"\nPRIVILEGED="yes"\n', (TUN, FUSE), False),
    ],
)
def test_what_they_give(text: str, given: tuple[devices.Device, ...], nesting: bool) -> None:
    config = effective(101, VeConf.parse(text), GlobalConfig.from_conf(Paths("/p"), VeConf.parse("")))
    assert (set(devices.of(config)), config.nesting) == (set(given), nesting)


@pytest.mark.parametrize(
    ("conf", "option", "value"),
    [
        ('INIT="handoff"\n', "--features", "openvz:on"),
        ('FEATURES="nfs:on openvz:on"\n', "--init", "handoff"),
    ],
)
def test_files_of_openvz_are_for_vzinit_alone(fake: Fake, conf: str, option: str, value: str) -> None:
    fake.ct(101, conf)
    said = fake.ctl("set", "101", option, value, "--save")
    assert said.code == 21 and said.stderr.count("\n") == 1 and "openvz:on needs INIT=vz" in said.stderr
    assert fake.conf(101) == conf
    assert fake.ctl("set", "101", option, value.replace(":on", ":off").replace("handoff", "vz"), "--save").code == 0


def test_a_start_refuses_what_was_written_by_hand(fake: Fake) -> None:
    fake.ct(101, 'INIT="handoff"\nFEATURES="openvz:on"\n')
    said = fake.ctl("start", "101")
    assert said.code == 21 and "openvz:on needs INIT=vz" in said.stderr and said.stderr.count("\n") == 1


@pytest.mark.parametrize(("text", "openvz"), [("", False), ("openvz:on", True), ("openvz:off nesting:on", False)])
def test_who_has_files_of_openvz(text: str, openvz: bool) -> None:
    globals = GlobalConfig.from_conf(Paths("/p"), VeConf.parse(""))
    assert effective(101, VeConf.parse(f'FEATURES="{text}"\n'), globals).openvz is openvz
    assert not effective(101, VeConf.parse(f'FEATURES="{text}"\nINIT="handoff"\n'), globals).openvz
