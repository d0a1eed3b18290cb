"""The layouts: ids, limits, loop devices, kernels."""

import errno
import os
import stat
import subprocess
from functools import partial
from pathlib import Path

import pytest

from hostd.errors import Failure
from hostd.kernel.fd import Fd
from hostd.kernel.mount import fsids, is_mounted, move_mount, new_filesystem, umount
from hostd.kernel.namespace import userns
from hostd.storage import loopdev, overlay
from hostd.storage.base import Layout, StorageSpec
from hostd.storage.overlay import Overlay
from hostd.storage.simfs import Simfs
from tests.harness import machine
from tests.harness.needs import needs
from tests.harness.storage_box import (
    BASE,
    INODES,
    SPACE_KIB,
    fill,
    mounted,
    size_kib,
    used_kib,
)

pytestmark = [pytest.mark.root, needs("loop", "idmap-ext4", "overlay-idmapped")]


LAYOUTS = pytest.mark.parametrize("layout", [Overlay(), Simfs()], ids=lambda layout: layout.name)


@LAYOUTS
def test_ids_are_those_of_the_container_inside_and_0_based_on_disk(
    layout: Layout, spec: StorageSpec, ids: Fd, tmp_path: Path
) -> None:
    layout.create(spec)
    with mounted(layout, spec, ids, tmp_path / "root") as root:
        assert (root / "etc/issue").read_text() == "from the template\n"
        assert os.stat(root).st_uid == BASE
        shadow = os.stat(root / "etc/shadow")
        assert (shadow.st_uid, shadow.st_gid, stat.S_IMODE(shadow.st_mode)) == (BASE, BASE + 42, 0o640)
        assert os.stat(root / "home").st_uid == BASE + 1000
        with fsids(BASE + 7, BASE + 7):
            (root / "made").write_text("inside")
    with mounted(layout, spec, None, tmp_path / "root") as root:
        assert os.stat(root / "made").st_uid == 7
    with userns(BASE * 2) as others, mounted(layout, spec, others, tmp_path / "root") as root:
        assert os.stat(root / "made").st_uid == BASE * 2 + 7


@LAYOUTS
def test_host_root_cannot_leave_files_without_an_owner_inside(
    layout: Layout, spec: StorageSpec, ids: Fd, tmp_path: Path
) -> None:
    layout.create(spec)
    with mounted(layout, spec, ids, tmp_path / "root") as root:
        with pytest.raises(OSError) as caught:
            (root / "lost").write_text("")
        assert caught.value.errno == errno.EOVERFLOW


@LAYOUTS
def test_the_template_is_never_written(
    layout: Layout, spec: StorageSpec, template: str, ids: Fd, tmp_path: Path
) -> None:
    layout.create(spec)
    with mounted(layout, spec, ids, tmp_path / "root") as root, fsids(BASE, BASE):
        (root / "etc/issue").write_text("changed")
        (root / "etc/shadow").unlink()
        (root / "home").rename(root / "users")
    assert Path(template, "etc/issue").read_text() == "from the template\n"
    assert sorted(os.listdir(template)) == ["bin", "etc", "home"]
    assert os.path.exists(f"{template}/etc/shadow")
    with mounted(layout, spec, ids, tmp_path / "root") as root:
        assert (root / "etc/issue").read_text() == "changed"
        assert not (root / "etc/shadow").exists() and (root / "users").is_dir()


def test_diskspace_is_what_df_shows_and_what_can_be_used(spec: StorageSpec, ids: Fd, tmp_path: Path) -> None:
    layout = Overlay()
    layout.create(spec)
    with mounted(layout, spec, ids, tmp_path / "root") as root:
        assert size_kib(root) == SPACE_KIB
        assert used_kib(root) < 64
        with fsids(BASE, BASE):
            written, why = fill(root)
        assert why == errno.ENOSPC
        assert SPACE_KIB * 0.95 < written < SPACE_KIB
        (root / "big").unlink()
        machine.until("blocks are free again", lambda: used_kib(root) < 64)


AT_THE_END_OF_A_GROUP = 245_104  # KiB: mke2fs would leave out the last blocks, too few for one more group
NEWER = "[defaults]\nblocksize = 4096\n[fs_types]\next4 = {\nfeatures = has_journal,extent,orphan_file,bigalloc\n}\n"


@pytest.mark.parametrize("kib", [SPACE_KIB, AT_THE_END_OF_A_GROUP])
def test_diskspace_is_exact_at_any_size_whatever_mke2fs_is_told(
    spec: StorageSpec, ids: Fd, tmp_path: Path, kib: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mke2fs.conf").write_text(NEWER)
    monkeypatch.setenv("MKE2FS_CONFIG", str(tmp_path / "mke2fs.conf"))
    other = spec._replace(diskspace_kib=kib)
    Overlay().create(other)
    with mounted(Overlay(), other, ids, tmp_path / "root") as root:
        assert size_kib(root) == kib
        assert used_kib(root) < 64


def test_inodes_are_limited(spec: StorageSpec, ids: Fd, tmp_path: Path) -> None:
    layout = Overlay()
    layout.create(spec)
    with mounted(layout, spec, ids, tmp_path / "root") as root:
        made = 0
        with pytest.raises(OSError) as caught, fsids(BASE, BASE):
            while True:
                (root / f"file{made}").touch()
                made += 1
        assert caught.value.errno == errno.ENOSPC
        assert INODES <= made <= INODES + 64
        assert os.statvfs(root).f_ffree == 0


def without_descriptors(answer: int, fstype: str, options: dict[str, str | Fd | None]) -> Fd:
    """new_filesystem() of a kernel that answers so to a layer given as a descriptor."""
    if "lowerdir+" in options:
        raise OSError(answer, os.strerror(answer))
    return new_filesystem(fstype, options)


@pytest.mark.parametrize("kernel", ["this", "older"])
def test_a_disk_without_a_free_inode_is_mounted_again_and_again(
    kernel: str, spec: StorageSpec, ids: Fd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Overlay itself needs some; without them a container that used all could not even be started to remove files."""
    if kernel == "older":
        monkeypatch.setattr(overlay, "new_filesystem", partial(without_descriptors, errno.EBADF))
    layout = Overlay()
    layout.create(spec)
    made = 0
    for _ in range(3):
        with mounted(layout, spec, ids, tmp_path / "root") as root:
            with pytest.raises(OSError) as caught, fsids(BASE, BASE):
                while True:
                    (root / f"file{made}").touch()
                    made += 1
            assert caught.value.errno == errno.ENOSPC
            assert os.statvfs(root).f_ffree == 0, "the container may not have what is kept back"
    with mounted(layout, spec, ids, tmp_path / "root") as root:
        assert sum(entry.name.startswith("file") for entry in os.scandir(root)) == made


def test_an_overlay_that_the_kernel_made_read_only_is_tried_with_the_inodes_kept_back(
    spec: StorageSpec, ids: Fd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does so without a word when few inodes are free, as files that are still being deleted leave them."""
    overlays: list[str] = []

    def first_read_only(fstype: str, options: dict[str, str | Fd | None]) -> Fd:
        if fstype != "overlay":
            return new_filesystem(fstype, options)
        made = new_filesystem(fstype, options if overlays else options | {"ro": None})
        overlays.append(fstype)
        return made

    layout = Overlay()
    layout.create(spec)
    monkeypatch.setattr(overlay, "new_filesystem", first_read_only)
    with mounted(layout, spec, ids, tmp_path / "root") as root, fsids(BASE, BASE):
        (root / "made").touch()
    assert len(overlays) == 2


def test_an_image_is_sparse_and_stays_so(spec: StorageSpec, ids: Fd, tmp_path: Path) -> None:
    layout = Overlay()
    layout.create(spec)
    image = os.path.join(spec.private, overlay.IMAGE)
    assert os.stat(image).st_blocks * 512 < 1 << 20
    with mounted(layout, spec, ids, tmp_path / "root") as root:
        with fsids(BASE, BASE):
            fill(root)
        (root / "big").unlink()
        os.sync()
    # The journal stays, the data goes back to the host: with the last unmount, which may be somebody else's.
    machine.until("the data is given back", lambda: os.stat(image).st_blocks * 512 < 24 << 20)


def test_the_mount_alone_keeps_the_storage_and_its_end_frees_the_loop(
    spec: StorageSpec, ids: Fd, tmp_path: Path
) -> None:
    layout = Overlay()
    layout.create(spec)
    image = os.path.join(spec.private, overlay.IMAGE)
    with mounted(layout, spec, ids, tmp_path / "root"):
        assert loopdev.in_use(spec.private, image)
        layout.release(spec.private, {})  # asked too early: must not pull it away
        assert (tmp_path / "root/etc/issue").read_text() == "from the template\n"
    machine.until("the disk is let go", lambda: not loopdev.in_use(spec.private, image))
    layout.release(spec.private, {})


def test_an_opened_storage_that_is_never_attached_leaves_nothing(spec: StorageSpec, ids: Fd) -> None:
    layout = Overlay()
    layout.create(spec)
    with layout.open(spec, ids) as opened:
        assert opened.record()["image"] == os.path.join(spec.private, overlay.IMAGE)
    machine.until("the disk is let go", lambda: not loopdev.in_use(spec.private, opened.record()["image"]))


def test_a_start_right_after_a_stop_takes_the_device_that_is_still_there(
    spec: StorageSpec, ids: Fd, tmp_path: Path
) -> None:
    layout = Overlay()
    layout.create(spec)
    with layout.open(spec, ids) as lingering, fsids(BASE, BASE):
        Path(lingering.root.path, "written").write_text("by the one that ends")
        with layout.open(spec, ids) as again:
            assert again.record()["loop"] == lingering.record()["loop"]
        devices = subprocess.check_output(["losetup", "-j", lingering.record()["image"]], text=True)
        assert len(devices.splitlines()) == 1
    with mounted(layout, spec, ids, tmp_path / "root") as root:
        assert (root / "written").read_text() == "by the one that ends"


def test_an_image_that_was_not_unmounted_cleanly_mounts(spec: StorageSpec, ids: Fd, tmp_path: Path) -> None:
    """A copy of the image of a running container is what a crashed host leaves."""
    layout = Overlay()
    layout.create(spec)
    image = os.path.join(spec.private, overlay.IMAGE)
    with mounted(layout, spec, ids, tmp_path / "root") as root:
        with fsids(BASE, BASE):
            (root / "kept").write_text("on the disk")
        os.sync()
        crashed = tmp_path / "crashed.img"
        subprocess.run(["cp", "--sparse=always", image, str(crashed)], check=True)
    machine.until("the disk is let go", lambda: not loopdev.in_use(spec.private, image))
    os.replace(crashed, image)
    assert b"needs_recovery" in subprocess.check_output(["dumpe2fs", "-h", image], stderr=subprocess.DEVNULL)
    with mounted(layout, spec, ids, tmp_path / "root") as root:
        assert (root / "kept").read_text() == "on the disk"


def test_a_file_system_that_cannot_map_ids_is_said(spec: StorageSpec, ids: Fd, tmp_path: Path) -> None:
    place = str(tmp_path / "ramfs")
    os.mkdir(place)
    with new_filesystem("ramfs", {}) as ramfs:
        move_mount(ramfs, place)
    try:
        with pytest.raises(Failure, match="its file system cannot map ids on this kernel"):
            Simfs().open(spec._replace(private=place), ids)
    finally:
        umount(place)


@pytest.mark.parametrize("answer", [errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP])
def test_older_kernels_get_named_layers(
    answer: int, spec: StorageSpec, ids: Fd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EOPNOTSUPP: 6.1, no descriptors; EBADF: 6.12, none with O_PATH; EINVAL: before 6.15, no detached layers."""
    asked: list[list[str]] = []

    def older(fstype: str, options: dict[str, str | Fd | None]) -> Fd:
        asked.append(list(options))
        assert fstype == "ext4" or "lowerdir+" in options or is_mounted(os.path.join(spec.private, "lower.mnt"))
        return without_descriptors(answer, fstype, options)

    layout = Overlay()
    layout.create(spec)
    monkeypatch.setattr(overlay, "new_filesystem", older)
    with mounted(layout, spec, ids, tmp_path / "root") as root:
        with fsids(BASE, BASE):
            (root / "etc/issue").write_text("changed")
        assert os.stat(root / "etc/issue").st_uid == BASE
    assert "lowerdir" in asked[-1]
    assert sorted(os.listdir(spec.private)) == ["disk.img", "layout", "loop"]
