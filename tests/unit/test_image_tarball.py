"""images: templates made of the root file systems that distributions publish."""

import os
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from images import __main__ as command
from images import build, manifest, recipes, tarball
from images.errors import BuildError
from tests.harness import foreign

ARCH = os.uname().machine


@pytest.fixture
def published(tmp_path: Path) -> str:
    return foreign.alpine(tmp_path)


def built(folder: Path, published: str) -> dict[str, bytes]:
    """The regular files of the image, by name, and the targets of its links."""
    assert command.main(["build", "alpine", "--cache", f"{folder}/cache", "--tarball", published]) == 0
    path = f"{folder}/cache/alpine-{ARCH}.tar.zst"
    with (
        subprocess.Popen(["zstd", "-dcq", path], stdout=subprocess.PIPE) as unpacking,
        tarfile.open(fileobj=unpacking.stdout, mode="r|") as archive,
    ):
        files = ((member, archive.extractfile(member) if member.isreg() else None) for member in archive)
        return {member.name[2:]: file.read() if file else member.linkname.encode() for member, file in files}


def test_what_was_made_for_a_chroot_becomes_a_server(tmp_path: Path, published: str) -> None:
    image = built(tmp_path, published)
    assert image["etc/machine-id"] == b"" and "etc/hostname" not in image
    assert image["etc/shadow"].startswith(b"root:*::0")
    assert image["etc/network/interfaces"] == tarball._INTERFACES.encode()
    inittab = image["etc/inittab"].decode()
    assert "/sbin/openrc" not in inittab and "tty1::respawn:/sbin/getty" in inittab and "tty2" not in inittab
    told = manifest.read(f"{tmp_path}/cache/alpine-{ARCH}.tar.zst")
    assert told["made of"] == os.path.basename(published) and told["packages"] == {"alpine": "3.99.0"}


def test_the_same_tarball_makes_the_same_image(tmp_path: Path, published: str) -> None:
    assert command.main(["prove", "alpine", "--cache", str(tmp_path), "--tarball", published]) == 0


def test_another_tarball_is_another_image(tmp_path: Path) -> None:
    one, same, other = (tmp_path / name for name in ("one", "same", "other"))
    one.write_bytes(b"1"), same.write_bytes(b"1"), other.write_bytes(b"2")
    alpine = recipes.RECIPES["alpine"]
    digests = [build.digest(replace(alpine, tarball=str(path)), ARCH) for path in (one, same, other)]
    assert digests[0] == digests[1] != digests[2]


def test_without_a_tarball_it_says_what_it_wants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["build", "rocky", "--cache", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        "rocky: made of what the distribution publishes: make image-rocky TARBALL=FILE\n"
    )


def test_another_distribution_is_refused(
    tmp_path: Path, published: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["build", "rocky", "--cache", str(tmp_path), "--tarball", published]) == 1
    assert "is no rocky, nor of its kin: there is no etc/redhat-release in it" in capsys.readouterr().err


def test_openrc_keeps_its_inittab(tmp_path: Path) -> None:
    for name in ("etc", "sbin"):
        (tmp_path / name).mkdir()
    (tmp_path / "etc/inittab").write_text(foreign.ALPINE_INITTAB)
    (tmp_path / "sbin/openrc").touch()
    tarball.inittab_runs(tmp_path)
    assert (tmp_path / "etc/inittab").read_text() == foreign.ALPINE_INITTAB


def test_a_link_out_of_the_tree_is_not_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "etc").symlink_to(outside)
    (outside / "hostname").write_text("mine\n")
    with pytest.raises(BuildError, match="etc is a link out of the tree"):
        tarball.no_identity(root)
    assert (outside / "hostname").read_text() == "mine\n"


@pytest.mark.parametrize("name", ["etc/shadow", "etc/inittab"])
def test_a_link_to_a_file_of_this_machine_is_not_read(tmp_path: Path, name: str) -> None:
    secret, root = tmp_path / "secret", tmp_path / "root"
    secret.write_text("root:$6$salt$sum:::::::")
    (root / "etc").mkdir(parents=True)
    (root / name).symlink_to(secret)
    with pytest.raises(BuildError, match=f"{name} is a link out of the tree"):
        {"etc/shadow": tarball.root_is_locked, "etc/inittab": tarball.inittab_runs}[name](root)
