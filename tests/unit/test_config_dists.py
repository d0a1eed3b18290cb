"""hostd.config.dists: which script of the administrator a distribution has."""

from pathlib import Path

import pytest

from hostd.config import dists
from hostd.config.model import GlobalConfig, effective
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(str(tmp_path))
    Path(made.dists_dir, "scripts").mkdir(parents=True)
    return made


def put(paths: Paths, name: str, text: str) -> None:
    Path(paths.dists_dir, name).write_text(text)


def script(paths: Paths, conf: str, warnings: list[str] | None = None) -> str | None:
    Path(paths.vz_conf).write_text("")
    config = effective(101, VeConf.parse(conf), GlobalConfig.load(paths))
    said: list[str] = [] if warnings is None else warnings
    found = dists.script(paths, config, dists.POST_CREATE, said.append)
    return found.removeprefix(f"{paths.dists_dir}/scripts/") if found else None


def test_parts_are_cut_off_until_there_is_one(paths: Paths) -> None:
    put(paths, "debian.conf", "# of all\nADD_IP=debian-add_ip.sh\nPOST_CREATE=any.sh\n")
    put(paths, "debian-12.conf", "POST_CREATE=twelve.sh\n")
    put(paths, "default", 'POST_CREATE="other.sh"\n')
    assert script(paths, 'OSTEMPLATE="debian-12-x86_64"\n') == "twelve.sh"
    assert script(paths, 'OSTEMPLATE="debian-13"\n') == "any.sh"
    assert script(paths, 'OSTEMPLATE="debian"\n') == "any.sh"
    warnings: list[str] = []
    assert script(paths, 'OSTEMPLATE="debianized-1"\n', warnings) == "other.sh"
    assert warnings == [
        "Warning: configuration file for distribution debianized-1 not found, "
        f"using defaults from {paths.dists_dir}/default"
    ]
    assert script(paths, 'OSTEMPLATE="x-1"\nDISTRIBUTION="debian-12"\n') == "twelve.sh"
    assert script(paths, "") == "other.sh"


def test_nothing_there_is_nothing_to_do(paths: Paths) -> None:
    assert script(paths, 'OSTEMPLATE="debian-12"\n') is None
    put(paths, "debian.conf", "SET_USERPASS=userpass.sh\n")
    assert script(paths, 'OSTEMPLATE="debian-12"\n') is None


def test_the_functions_come_first(paths: Paths) -> None:
    put(paths, "scripts/one.sh", "greet\n")
    one = f"{paths.dists_dir}/scripts/one.sh"
    assert dists.text(one) == "greet\n"
    put(paths, "scripts/functions", "greet() { echo hello; }")
    assert dists.text(one) == "greet() { echo hello; }\ngreet\n"
    with pytest.raises(FileNotFoundError):
        dists.text(f"{one}.gone")
