"""--private and --root that cannot be: who typed it is told so, and not the sample that was copied."""

import os

import pytest

from tests.harness.fake_host import Fake, Said

SYSTEM = "is a directory of the host's system"
ABSOLUTE = "must be an absolute path without .."


@pytest.mark.parametrize("option", ["--private", "--root"])
@pytest.mark.parametrize("verb", ["create", "set"])
@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/", SYSTEM),
        ("/home", SYSTEM),
        ("/etc/vz-101", SYSTEM),
        ("here/101", ABSOLUTE),
        ("", ABSOLUTE),
        ("/srv/../etc", ABSOLUTE),
        ("/var/lib/vz/private", "holds {prefix}/var/lib/vz/private: $VEID is missing"),
        ("{prefix}/srv/file", "{prefix}/srv/file is not a directory"),
        ("{prefix}/srv/file/ct/101", "{prefix}/srv/file is not a directory"),
    ],
)
def test_what_was_typed_is_to_blame(fake: Fake, verb: str, option: str, path: str, why: str) -> None:
    prefix = fake.paths.prefix
    os.mkdir(f"{prefix}/srv")
    with open(f"{prefix}/srv/file", "w", encoding="ascii"):
        pass
    if verb == "set":
        fake.ct(101, "A=1\n")
    path, why = path.format(prefix=prefix), why.format(prefix=prefix)
    said = fake.ctl(verb, "101", option, path, *(["--save"] if verb == "set" else []))
    assert said == Said(21, "", f"Bad parameter for {option}: {path} ({why})\n")
    assert fake.asked() == [] and os.path.exists(fake.paths.ct_conf(101)) == (verb == "set")


def test_in_each_other(fake: Fake) -> None:
    why = "VE_PRIVATE and VE_ROOT must not lie in each other"
    said = fake.ctl("create", "101", "--private", "/srv/101", "--root", "/srv/101/root")
    assert said == Said(21, "", f"Bad parameter for --private: /srv/101 ({why})\n")
    root = fake.paths.root_default.replace("$VEID", "101")
    said = fake.ctl("create", "101", "--private", f"{root}/inside")
    assert said == Said(21, "", f"Bad parameter for --private: {root}/inside ({why})\n")
    private = fake.paths.private_default.replace("$VEID", "101")
    said = fake.ctl("create", "101", "--root", private)
    assert said == Said(21, "", f"Bad parameter for --root: {private} ({why})\n")


def test_a_full_directory_is_no_new_private_area(fake: Fake) -> None:
    path = f"{fake.paths.prefix}/srv/full"
    os.makedirs(f"{path}/x")
    said = fake.ctl("create", "101", "--private", path)
    assert said == Said(44, "", f"Private area already exists in {path}\n")
    assert os.listdir(path) == ["x"] and not os.path.exists(fake.paths.ct_conf(101))


def test_a_sample_and_vz_conf_are_blamed_for_what_they_say(fake: Fake) -> None:
    sample = fake.paths.sample_conf("odd")
    with open(sample, "w", encoding="ascii") as file:
        file.write('ONBOOT="no"\nVE_PRIVATE="/home"\n')
    said = fake.ctl("create", "101", "--config", "odd")
    assert said == Said(85, "", f'{sample}:2: VE_PRIVATE="/home": {SYSTEM}\n')
    assert fake.ctl("create", "101", "--config", "odd", "--private", "/srv/ct/101").code == 0
    with open(fake.paths.vz_conf, "w", encoding="ascii") as file:
        file.write('DEF_OSTEMPLATE="debian-12"\nVE_ROOT="/srv/root"\n')
    said = fake.ctl("create", "102")
    assert said.code == 85 and said.stderr.startswith(f"{fake.paths.vz_conf}:2: VE_ROOT=")


def test_good_ones_are_kept_as_typed(fake: Fake) -> None:
    assert fake.ctl("create", "101", "--private", "/srv/ct/$VEID", "--root", "/srv/at/$VEID").code == 0
    assert 'VE_ROOT="/srv/at/$VEID"\nVE_PRIVATE="/srv/ct/$VEID"\n' in fake.conf(101)
