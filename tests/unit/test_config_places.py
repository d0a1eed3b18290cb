"""VE_PRIVATE, VE_ROOT and NAME: what is deleted, mounted on and linked as root must be what was meant."""

import os
from pathlib import Path

import pytest

from hostd.config import names
from hostd.config.model import CtConfig, GlobalConfig, effective
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf
from hostd.errors import BadConfig, Failure

PATHS = Paths("/p")


def ct(text: str, globals_text: str = "", paths: Paths = PATHS) -> CtConfig:
    globals = GlobalConfig.from_conf(paths, VeConf.parse(globals_text, "/g/vz.conf"))
    return effective(101, VeConf.parse(text, "/c/101.conf"), globals)


@pytest.mark.parametrize("prefix", ["", "/p"])
@pytest.mark.parametrize("key", ["VE_PRIVATE", "VE_ROOT"])
@pytest.mark.parametrize(
    "path",
    [
        "/", "//", "/.", "/home", "relative/101", "/srv/../etc/101", "/srv/101/..", "/etc/101", "/usr/share/101",
        "/proc/101/root", "/var/lib", "/var/lib/vz", "/var/lib/vz/private", "/var/lib/vz/private/", "/var/lib/vz/root",
        "/var/lib/vz/template", "/var/lib/vz/dump", "/var/run/../lib/vz", "/srv/\x1b[2J/101",
        "/srv/ct/101.tmp",
    ],
)  # fmt: skip
def test_a_place_that_cannot_be_meant(prefix: str, key: str, path: str) -> None:
    with pytest.raises(BadConfig, match=f"^/c/101.conf:1: {key}="):
        ct(f'{key}="{path}"\n', paths=Paths(prefix))


@pytest.mark.parametrize("path", ["/srv/ct/$VEID", "/vz/private/101", "/home/ct/web", "/var/lib/vz/private/web"])
def test_places_that_are_fine(path: str) -> None:
    assert ct(f'VE_PRIVATE="{path}"\n').private == "/p" + path.replace("$VEID", "101")


def test_a_default_without_the_number_is_for_nobody() -> None:
    with pytest.raises(BadConfig, match=r"^/g/vz.conf:1: VE_PRIVATE=.*must contain \$VEID"):
        ct("", 'VE_PRIVATE="/srv/ct/all"\n')


@pytest.mark.parametrize("root", ["/srv/ct/101", "/srv/ct/101/root", "/srv/ct"])
def test_private_and_root_do_not_lie_in_each_other(root: str) -> None:
    with pytest.raises(BadConfig, match="must not lie in each other"):
        ct(f'VE_PRIVATE="/srv/ct/101"\nVE_ROOT="{root}"\n')


@pytest.mark.parametrize("name", ["../101.conf", "a/b", "/etc/passwd", "..", "x\ny"])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    paths = Paths(str(tmp_path))
    os.makedirs(paths.names_dir)
    with pytest.raises(Failure):
        names.assign(paths, 101, name)
    os.symlink(paths.ct_conf(101), f"{paths.conf_dir}-link")
    names.remove(paths, 101, "../conf-link")
    assert os.path.islink(f"{paths.conf_dir}-link")
    assert os.listdir(paths.names_dir) == []
