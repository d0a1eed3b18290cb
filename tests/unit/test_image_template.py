"""hostd.image.template: finding tarballs, unpacking them once, refusing bad ones."""

import io
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostd.config.paths import Paths
from hostd.errors import Exit, Failure
from hostd.image import template

ARCH = os.uname().machine


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(str(tmp_path / "prefix"))
    os.makedirs(made.template_cache)
    return made


def member(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, io.BytesIO]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, io.BytesIO(data)


def tarball(paths: Paths, name: str, *members: tuple[tarfile.TarInfo, io.BytesIO], mode: str = "w:gz") -> str:
    path = os.path.join(paths.template_cache, name)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for info, data in members:
            archive.addfile(info, data)
    return path


SMALL = (
    member("./etc", type=tarfile.DIRTYPE, mode=0o755),
    member("./etc/issue", b"hello\n", mode=0o640),
    member("./bin", type=tarfile.SYMTYPE, linkname="usr/bin"),
)


def fresh_members() -> list[tuple[tarfile.TarInfo, io.BytesIO]]:
    return [(info, io.BytesIO(data.getvalue())) for info, data in SMALL]


def nothing_left(paths: Paths) -> bool:
    return not [name for name in os.listdir(paths.template_tree) if not name.endswith((".lock", ".digest"))]


@pytest.mark.parametrize("asked", ["tiny", f"tiny-{ARCH}"])
@pytest.mark.parametrize("stored", ["tiny", f"tiny-{ARCH}"])
@pytest.mark.parametrize("format", template.FORMATS)
def test_a_name_is_found_with_and_without_architecture(
    paths: Paths, asked: str, stored: str, format: str
) -> None:
    path = os.path.join(paths.template_cache, f"{stored}.tar{format}")
    Path(path).touch()
    assert template.find(paths, asked) == template.Template(stored, path, format)


@pytest.mark.parametrize("name", ["absent", "", "../cache/tiny", "a/b", ".hidden"])
def test_a_missing_template_says_where_it_was_looked_for(paths: Paths, name: str) -> None:
    Path(paths.template_cache, "tiny.tar").touch()
    with pytest.raises(Failure) as caught:
        template.find(paths, name)
    assert caught.value.exit_code == Exit.OSTEMPLATE_NOT_FOUND
    assert caught.value.message.startswith(f"Cached OS template {paths.template_cache}/")


def test_the_tree_is_unpacked_once_and_again_for_new_content(paths: Paths) -> None:
    tarball(paths, "tiny.tar.gz", *fresh_members())
    found = template.find(paths, "tiny")
    first = template.tree(paths, found)
    inode = os.stat(first).st_ino
    assert Path(first, "etc/issue").read_bytes() == b"hello\n"
    assert os.stat(f"{first}/etc/issue").st_mode & 0o777 == 0o640
    assert os.readlink(f"{first}/bin") == "usr/bin"
    assert os.stat(paths.template_tree).st_mode & 0o777 == 0o700
    assert (template.tree(paths, found), os.stat(first).st_ino) == (first, inode)

    tarball(paths, "tiny.tar.gz", *fresh_members(), member("./etc/new", b"2"))
    second = template.tree(paths, found)
    assert second != first
    assert os.path.exists(f"{second}/etc/new") and not os.path.exists(f"{first}/etc/new")


def test_the_content_is_read_once(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    tarball(paths, "tiny.tar.gz", *fresh_members())
    found = template.find(paths, "tiny")
    first = template.tree(paths, found)
    monkeypatch.delattr("hashlib.file_digest")
    assert template.tree(paths, found) == first


def test_concurrent_callers_unpack_once(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    tarball(paths, "tiny.tar.gz", *fresh_members())
    found, answers, unpacked = template.find(paths, "tiny"), [], []
    really = template.extract

    def counted(what: template.Template, into: str) -> None:
        unpacked.append(into)
        really(what, into)

    monkeypatch.setattr(template, "extract", counted)
    threads = [threading.Thread(target=lambda: answers.append(template.tree(paths, found))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8 and len(set(answers)) == 1 and len(unpacked) == 1


def damaged(paths: Paths) -> Iterator[str]:
    whole = Path(
        tarball(paths, "whole.tar.gz", *fresh_members(), member("./big", os.urandom(200_000)))
    ).read_bytes()
    for name, content in {
        "truncated.tar.gz": whole[: len(whole) // 2],
        "empty.tar.gz": b"",
        "garbage.tar": b"this is no archive" * 1000,
        "wrong.tar.xz": whole,
    }.items():
        Path(paths.template_cache, name).write_bytes(content)
        yield name.split(".")[0]
    tarball(paths, "nothing.tar", member("./README", b"no root here"), mode="w")
    yield "nothing"


def test_a_bad_archive_is_one_clear_line_and_leaves_nothing(paths: Paths) -> None:
    for name in damaged(paths):
        with pytest.raises(Failure) as caught:
            template.tree(paths, template.find(paths, name))
        assert caught.value.exit_code == Exit.FS_BAD_TMPL, name
        assert paths.template_cache in caught.value.message and "\n" not in caught.value.message
        assert nothing_left(paths), name


@pytest.mark.parametrize(
    "hostile",
    [
        [member("../escaped", b"x")],
        [member("etc/../../escaped", b"x")],
        [
            member("out", type=tarfile.SYMTYPE, linkname="@OUT@"),
            member("out/escaped", b"x"),
        ],
    ],
    ids=["dotdot", "hidden dotdot", "through a link"],
)
def test_members_cannot_leave_the_tree(
    paths: Paths, tmp_path: Path, hostile: list[tuple[tarfile.TarInfo, io.BytesIO]]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for info, _ in hostile:
        info.linkname = info.linkname.replace("@OUT@", str(outside))
    tarball(paths, "evil.tar.gz", *fresh_members(), *hostile)
    with pytest.raises(Failure) as caught:
        template.tree(paths, template.find(paths, "evil"))
    assert caught.value.exit_code == Exit.FS_BAD_TMPL
    assert not list(outside.iterdir()) and not list(tmp_path.rglob("escaped"))
    assert nothing_left(paths)


def test_absolute_members_stay_inside(paths: Paths, tmp_path: Path) -> None:
    target = tmp_path / "absolute"
    tarball(paths, "absolute.tar.gz", *fresh_members(), member(str(target), b"x"))
    tree = template.tree(paths, template.find(paths, "absolute"))
    assert not target.exists()
    assert os.path.exists(f"{tree}{target}")


def test_half_unpacked_trees_are_swept(paths: Paths) -> None:
    assert template.sweep(paths) == []
    tarball(paths, "one.tar.gz", *fresh_members())
    tree = template.tree(paths, template.find(paths, "one"))
    half = os.path.join(paths.template_tree, ".unpack-three-xyz")
    os.mkdir(half)
    assert template.sweep(paths) == [half]
    assert os.path.isdir(tree) and not os.path.exists(half)


def test_a_tree_is_outdated_when_no_tarball_makes_it(paths: Paths) -> None:
    assert template.outdated(paths) == []
    made = []
    for name in ("kept", "renewed", "removed", "renamed"):
        tarball(paths, f"{name}.tar.gz", *fresh_members(), member("./name", name.encode()))
        made.append(template.tree(paths, template.find(paths, name)))
    kept, *others = made
    os.mkdir(f"{paths.template_tree}/vztmp")
    os.mkdir(f"{paths.template_tree}/of-somebody-else")
    assert template.outdated(paths) == []
    tarball(paths, "renewed.tar.gz", *fresh_members(), member("./name", b"another"))
    os.unlink(f"{paths.template_cache}/removed.tar.gz")
    os.rename(f"{paths.template_cache}/renamed.tar.gz", f"{paths.template_cache}/renamed-{ARCH}.tar.gz")
    assert template.outdated(paths) == sorted(others)
    assert template.tree(paths, template.find(paths, "kept")) == kept


def test_missing_decompressor_is_named_as_such(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    tarball(paths, "tiny.tar.gz", *fresh_members())
    tools = Path(paths.prefix, "bin")
    tools.mkdir()
    for tool in ("tar", "rm", "setpriv"):
        (tools / tool).symlink_to(subprocess.check_output(["which", tool], text=True).strip())
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(Failure, match="decompressor is not installed"):
        template.tree(paths, template.find(paths, "tiny"))


def test_the_mount_points_of_a_container_are_made_and_no_link_is_followed(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    members = [*fresh_members(), member("./run", type=tarfile.SYMTYPE, linkname=str(tmp_path / "outside/run"))]
    path = tarball(paths, "tiny.tar.gz", *members)
    into = tmp_path / "into"
    into.mkdir()
    template.extract(template.Template("tiny", path, ".gz"), str(into))
    assert all((into / name).is_dir() for name in (".vz", "dev", "proc", "sys"))
    assert (into / "run").is_symlink() and os.listdir(tmp_path / "outside") == []
