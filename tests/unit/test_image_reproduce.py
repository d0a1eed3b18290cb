"""images: the archive's dates, snapshots of it, manifests, and the proof that a recipe makes the same image again."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from images import __main__ as command
from images import archive, build, debian, manifest, recipes, reproduce, sources
from images.errors import BuildError

ARCH = os.uname().machine
TIME = "20261101T000000Z"
RELEASES = """\
-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

Suite: stable
Version: 13.8
Codename: trixie
Changelogs: https://changes.example/@CHANGEPATH@_changelog
Date: Sat, 21 Nov 2026 09:15:44 UTC
Description: Codename: no
-----END PGP SIGNATURE-----
Suite: stable-security
Codename: trixie-security
Date: Thu, 26 Nov 2026 21:03:35 +0000
"""
SNAPSHOTS = """
Types: deb
# http://keeps.example/archive/debian/20250520T000000Z
URIs: http://near.example/debian
Suites: bookworm
"""


def test_the_newest_release_file_dates_the_image() -> None:
    dates = archive.dates(RELEASES)
    assert dates == {"trixie": "Sat, 21 Nov 2026 09:15:44 UTC", "trixie-security": "Thu, 26 Nov 2026 21:03:35 +0000"}
    assert archive.epoch(dates) == 1795727015
    with pytest.raises(BuildError, match="no Release file has a date"):
        archive.dates("<html>a proxy's opinion</html>")


def test_release_files_come_by_apt(tmp_path: Path) -> None:
    suite = tmp_path / "debian/dists/trixie"
    suite.mkdir(parents=True)
    (suite / "InRelease").write_text(RELEASES)
    line = f"deb file:{tmp_path}/debian trixie main"
    (tmp_path / "work").mkdir()
    assert "trixie-security" in archive.fetched([line], str(tmp_path / "work"))
    with pytest.raises(BuildError, match="no Release file of sid"):
        archive.fetched([line.replace("trixie", "sid")], str(tmp_path / "work"))


def test_an_archive_that_changes_meanwhile_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "InRelease.0").write_text(RELEASES)
    (tmp_path / "releases").write_text(RELEASES)
    (tmp_path / "packages").write_text("apt 2.6.1\nlibc6:amd64 2.36-9\n")
    found = debian.made_of(recipes.RECIPES["debian-13"], str(tmp_path))
    assert found["packages"] == {"apt": "2.6.1", "libc6:amd64": "2.36-9"} and found["epoch"] == 1795727015
    (tmp_path / "releases").write_text(RELEASES.replace("21:03:35", "22:03:35"))
    with pytest.raises(BuildError, match="build again"):
        debian.made_of(recipes.RECIPES["debian-13"], str(tmp_path))


def test_a_snapshot_is_taken_from_the_service_that_the_sources_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VZ_SNAPSHOTS", raising=False)
    monkeypatch.delenv("VZ_MIRROR", raising=False)
    etc = tmp_path / "apt"
    (etc / "sources.list.d").mkdir(parents=True)
    with pytest.raises(BuildError, match="no snapshot service"):
        sources.at(TIME, str(etc))
    (etc / "sources.list.d/debian.sources").write_text(SNAPSHOTS)
    found = sources.at(TIME, str(etc))
    assert found.archive == f"http://keeps.example/archive/debian/{TIME}"
    assert found.lines("bookworm")[2] == (
        f"deb http://keeps.example/archive/debian-security/{TIME} bookworm-security main"
    )
    assert found.lines("sid") == [f"deb {found.archive} sid main"]
    assert sources.of_this_machine(str(etc)).archive == "http://near.example/debian"
    monkeypatch.setenv("VZ_SNAPSHOTS", "http://other.example")
    assert sources.at(TIME, str(etc)).archive == f"http://other.example/debian/{TIME}"
    with pytest.raises(BuildError, match="write it as 20261101T000000Z"):
        sources.at("yesterday", str(etc))


def test_a_machine_that_lives_on_a_snapshot_builds_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VZ_MIRROR", raising=False)
    (tmp_path / "sources.list").write_text(f"deb http://keeps.example/archive/debian/{TIME}/ bookworm main\n")
    assert sources.of_this_machine(str(tmp_path)).archive == f"http://keeps.example/archive/debian/{TIME}"


@pytest.fixture
def busybox(tmp_path: Path) -> str:
    assert command.main(["build", "busybox", "--cache", str(tmp_path)]) == 0
    return f"{tmp_path}/busybox-{ARCH}.tar.zst"


def test_the_manifest_tells_what_is_in_the_image(busybox: str) -> None:
    told = manifest.read(busybox)
    assert told["image"] == f"busybox-{ARCH}"
    assert told["recipe"] == build.digest(recipes.RECIPES["busybox"], ARCH)
    assert told["sha256"] == hashlib.sha256(Path(busybox).read_bytes()).hexdigest()
    unpacked = subprocess.check_output(["zstd", "-dcq", busybox])
    assert told["tar"] == hashlib.sha256(unpacked).hexdigest()
    version = subprocess.check_output(["/bin/busybox"], text=True).split()[1]
    assert told["packages"] == {"busybox": version}


def test_busybox_is_the_same_when_it_is_built_again(busybox: str, capsys: pytest.CaptureFixture[str]) -> None:
    cache = os.path.dirname(busybox)
    assert command.main(["prove", "busybox", "--cache", cache]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert str(manifest.read(busybox)["sha256"]) in said
    assert command.main(["prove", "busybox", "--cache", cache]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == said, "the proof is kept"


class Fickle:
    """A builder whose image has a file that is another one each time."""

    def ingredients(self, recipe: recipes.Recipe) -> bytes:
        return b""

    def tar_command(self, recipe: recipes.Recipe, work: str) -> list[str]:
        Path(f"{work}/same").touch()
        Path(f"{work}/random").write_bytes(os.urandom(8))
        return ["tar", "-C", work, "--mtime=@0", "-c", "same", "random"]

    def made_of(self, recipe: recipes.Recipe, work: str) -> dict[str, object]:
        return {"packages": {}}


def test_what_differs_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(build._BUILDERS, "fickle", Fickle())
    monkeypatch.setitem(recipes.RECIPES, "fickle", recipes.Recipe("fickle", "fickle"))
    assert command.main(["prove", "fickle", "--cache", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"fickle: fickle-{ARCH} is not the same when it is built again:\n  random\n"
    )
    assert not list(tmp_path.glob(f"*{reproduce.SUFFIX}")) and not list(tmp_path.glob("vz-again-*"))
