"""images: recipes as data, the cache by recipe hash, apt sources, and the busybox image as it is built."""

import io
import os
import shutil
import stat
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from images import __main__ as command
from images import build, busybox, debian, manifest, recipes, sources
from images.errors import BuildError

ARCH = os.uname().machine

ONE_LINE = """
# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by=/x.gpg] http://mirror.example/debian/ bookworm main contrib
deb-src http://mirror.example/debian bookworm main
deb https://packages.example/apt cloud-sdk-bookworm main
deb http://mirror.example/debian-security bookworm-security main
"""
DEB822 = """
Types: deb deb-src
# the mirror of the house
URIs: http://near.example/debian
Suites: trixie trixie-updates
Components: main

Types: deb
URIs: http://near.example/debian-security
Suites: trixie-security
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: trixie
"""


def etc(folder: Path, name: str, text: str) -> str:
    (folder / "sources.list.d").mkdir(parents=True)
    (folder / name).write_text(text)
    return str(folder)


@pytest.mark.parametrize(
    ("name", "text", "archive", "security"),
    [
        ("sources.list", ONE_LINE, "http://mirror.example/debian", "http://mirror.example/debian-security"),
        ("sources.list.d/a.sources", DEB822, "http://near.example/debian", "http://near.example/debian-security"),
        ("sources.list", "deb http://ubuntu.example/ubuntu jammy main\n", sources.DEFAULT_MIRROR,
         sources.DEFAULT_SECURITY),
    ],
    ids=["one-line", "deb822", "another distribution"],
)  # fmt: skip
def test_mirrors_are_those_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, archive: str, security: str
) -> None:
    monkeypatch.delenv("VZ_MIRROR", raising=False)
    assert sources.of_this_machine(etc(tmp_path / "apt", name, text)) == sources.Mirrors(archive, security)


def test_the_environment_overrides_the_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VZ_MIRROR", "http://other.example/debian")
    assert sources.of_this_machine(str(tmp_path)).archive == "http://other.example/debian"


def test_the_hash_follows_recipe_files_and_ingredients() -> None:
    recipe = recipes.RECIPES["debian-12"]
    digest = recipe.digest("x86_64")
    assert digest == replace(recipe).digest("x86_64")
    others = {
        replace(recipe, packages=(*recipe.packages, "nginx")).digest("x86_64"),
        recipe.digest("aarch64"),
        recipe.digest("x86_64", b"another busybox"),
        recipes.RECIPES["debian-13"].digest("x86_64"),
        replace(recipe, snapshot="20261101T000000Z").digest("x86_64"),
    }
    assert len(others | {digest}) == 6
    assert any(path.endswith("ssh-host-keys.service") for path in recipe.sources())


def test_names_with_and_without_architecture() -> None:
    assert recipes.find("debian-12", "x86_64") is recipes.find("debian-12-x86_64", "x86_64")
    assert recipes.find("debian-12-aarch64", "x86_64") is None


def test_an_old_keyring_is_named(tmp_path: Path) -> None:
    (tmp_path / "debian-archive-keyring.gpg").touch()
    (tmp_path / "debian-archive-bookworm-stable.gpg").touch()
    assert debian.keyring("bookworm", str(tmp_path)) == str(tmp_path / "debian-archive-keyring.gpg")
    with pytest.raises(BuildError, match=r"trixie.*upgrade debian-archive-keyring"):
        debian.keyring("trixie", str(tmp_path))


class Shell:
    """A builder made of one shell command, to see what the cache does with it."""

    def __init__(self, script: str) -> None:
        self.script, self.built = script, 0

    def ingredients(self, recipe: recipes.Recipe) -> bytes:
        return self.script.encode()

    def tar_command(self, recipe: recipes.Recipe, work: str) -> list[str]:
        self.built += 1
        return ["sh", "-c", self.script]

    def made_of(self, recipe: recipes.Recipe, work: str) -> dict[str, object]:
        return {"packages": {"shell": "1"}}


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    made = Shell("echo 'I: downloading things...' >&2; printf content")
    monkeypatch.setitem(build._BUILDERS, "shell", made)
    return made


SHELL = recipes.Recipe("shell", "shell")


def test_built_once_and_published_atomically(tmp_path: Path, shell: Shell) -> None:
    told: list[str] = []
    first = build.build(SHELL, str(tmp_path), ARCH, told.append)
    assert build.build(SHELL, str(tmp_path), ARCH, told.append) == first
    assert shell.built == 1
    assert told[0] == f"shell-{ARCH}: downloading things" and told[-1].endswith("in the cache")
    assert subprocess.check_output(["zstd", "-dc", first]) == b"content"

    for _ in range(2):
        public = build.publish(first, str(tmp_path), f"shell-{ARCH}")
    assert Path(public).read_bytes() == Path(first).read_bytes()
    assert manifest.read(public) == manifest.read(first)
    assert not list(tmp_path.glob("*.part"))

    shell.script += " changed"
    second = build.build(SHELL, str(tmp_path), ARCH, told.append)
    assert second != first, "a replaced image is not kept"
    assert not os.path.exists(first) and not os.path.exists(manifest.beside(first))


def test_a_failed_build_says_why_and_leaves_nothing(tmp_path: Path, shell: Shell) -> None:
    shell.script = "echo 'E: no such package' >&2; printf half; exit 3"
    with pytest.raises(BuildError, match=r"exited with 3:\n  E: no such package"):
        build.build(SHELL, str(tmp_path), ARCH, lambda _: None)
    assert [entry.name for entry in tmp_path.iterdir()] == [f".shell-{ARCH}.lock"]


def test_unknown_recipe_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["build", "windows-95"]) == 1
    known = ", ".join(recipes.RECIPES)
    assert capsys.readouterr().err == f"no recipe 'windows-95': known are {known}\n"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tarfile.TarInfo]:
    folder = tmp_path_factory.mktemp("images")
    assert command.main(["build", "busybox", "--cache", str(folder)]) == 0
    content = subprocess.check_output(["zstd", "-dc", str(folder / f"busybox-{ARCH}.tar.zst")])
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {member.name.removeprefix("./"): member for member in archive}


def test_busybox_image_has_what_a_boot_needs(image: dict[str, tarfile.TarInfo]) -> None:
    for name in (
        "sbin/init",
        "sbin/reboot",
        "sbin/halt",
        "sbin/poweroff",
        "bin/sh",
        "bin/login",
        "sbin/getty",
    ):
        assert image[name].issym(), name
    for name in (".vz", "proc", "sys", "dev", "tmp", "run", "etc"):
        assert image[name].isdir(), name
    assert image["etc/init.d/rcS"].mode & 0o111
    assert (image["tmp"].mode, image["etc/shadow"].mode) == (0o1777, 0o640)
    assert "usr/sbin/httpd" not in image and "usr/sbin/telnetd" not in image


def test_busybox_image_carries_no_identity(image: dict[str, tarfile.TarInfo]) -> None:
    assert image["etc/machine-id"].size == 0
    assert "etc/hostname" not in image and "etc/resolv.conf" not in image
    assert {(member.uid, member.gid, member.mtime) for member in image.values()} == {(0, 0, 0)}


def test_a_strict_umask_does_not_reach_the_image(tmp_path: Path, image: dict[str, tarfile.TarInfo]) -> None:
    files = tmp_path / "files"
    shutil.copytree(recipes.RECIPES["busybox"].files(), files)
    for path in files.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)
    before = os.umask(0o077)
    try:
        busybox.lay_out(str(tmp_path / "root"), "/bin/busybox", str(files))
    finally:
        os.umask(before)
    modes = {path.relative_to(tmp_path / "root"): path for path in (tmp_path / "root").rglob("*")}
    strict = {
        str(name): (stat.S_IMODE(path.lstat().st_mode), image[str(name)].mode)
        for name, path in modes.items()
        if not path.is_symlink() and stat.S_IMODE(path.lstat().st_mode) != image[str(name)].mode
    }
    assert not strict


def test_busybox_links_work_wherever_the_tree_is(image: dict[str, tarfile.TarInfo]) -> None:
    for member in image.values():
        if member.issym():
            where = os.path.normpath(os.path.join(os.path.dirname(member.name), member.linkname))
            assert where in ("bin/busybox", "./bin/busybox"), member.name


def test_a_dynamic_busybox_is_not_taken(tmp_path: Path) -> None:
    assert busybox.is_static("/bin/sh") is False
    static = tmp_path / "static"
    static.write_bytes(b"\x7fELF" + bytes(5000))
    assert busybox.is_static(str(static)) is True
