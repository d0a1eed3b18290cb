"""Private areas: made, destroyed, resized, whole or not at all."""

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostd.config.paths import Paths
from hostd.errors import Exit, Failure
from hostd.kernel.fd import Fd
from hostd.kernel.mount import fsids, move_mount, new_filesystem, open_tree, umount
from hostd.storage import ext4image, loopdev, overlay, trash
from hostd.storage.base import Layout, StorageSpec
from hostd.storage.overlay import Overlay
from hostd.storage.simfs import Simfs
from tests.harness import machine
from tests.harness.patience import patient
from tests.harness.storage_box import (
    BASE,
    INODES,
    SPACE_KIB,
    mounted,
    size_kib,
)

pytestmark = pytest.mark.root

LAYOUTS = pytest.mark.parametrize("layout", [Overlay(), Simfs()], ids=lambda layout: layout.name)


def test_the_layout_remembers_its_template(paths: Paths, spec: StorageSpec, template: str) -> None:
    layout = Overlay()
    with pytest.raises(Failure) as caught:
        layout.template_of(paths, spec.private)
    assert caught.value.exit_code == Exit.FS_NOPRVT
    layout.create(spec)
    assert layout.template_of(paths, spec.private) == template
    os.rename(template, f"{template}.away")
    with pytest.raises(Failure, match="is gone") as caught:
        layout.open(spec, None)
    assert caught.value.exit_code == Exit.FS_CANTMOUNT


@LAYOUTS
def test_create_refuses_an_existing_area_and_replaces_an_empty_directory(
    layout: Layout, spec: StorageSpec
) -> None:
    os.makedirs(spec.private)
    layout.create(spec)
    before = sorted(os.listdir(spec.private))
    with pytest.raises(Failure) as caught:
        layout.create(spec)
    assert caught.value.exit_code == Exit.FS_PRVT_AREA_EXIST
    assert sorted(os.listdir(spec.private)) == before
    assert not os.path.exists(f"{spec.private}.tmp")


@LAYOUTS
def test_a_missing_private_area_is_named(layout: Layout, spec: StorageSpec) -> None:
    with pytest.raises(Failure, match=f"{spec.private} does not exist") as caught:
        layout.open(spec, None)
    assert caught.value.exit_code == Exit.FS_NOPRVT


@LAYOUTS
def test_disk_full_during_create_is_46_and_leaves_nothing(
    layout: Layout, spec: StorageSpec, template: str, tmp_path: Path
) -> None:
    Path(template, "ballast").write_bytes(os.urandom(4 << 20))
    small = tmp_path / "small"
    small.mkdir()
    with new_filesystem("tmpfs", {"size": "40k"}) as disk:
        move_mount(disk, str(small))
    try:
        full = StorageSpec(102, f"{small}/private/102", layout.name, template, SPACE_KIB, INODES)
        with pytest.raises(Failure) as caught:
            layout.create(full)
        assert caught.value.exit_code == Exit.FS_NO_DISK_SPACE
        assert "no disk space left" in caught.value.message
        assert os.listdir(small / "private") == []
    finally:
        umount(str(small))


@LAYOUTS
def test_a_create_that_was_cut_off_can_be_repeated(layout: Layout, spec: StorageSpec) -> None:
    os.makedirs(f"{spec.private}.tmp/half")
    layout.create(spec)
    assert os.path.isdir(spec.private) and not os.path.exists(f"{spec.private}.tmp")


@LAYOUTS
def test_destroy_renames_at_once_and_deletes_in_the_background(
    layout: Layout, spec: StorageSpec, paths: Paths
) -> None:
    layout.create(spec)
    layout.destroy(spec.private, paths.vzrm_dir)
    assert not os.path.exists(spec.private)
    machine.until("it is deleted", lambda: not os.listdir(paths.vzrm_dir))


@LAYOUTS
def test_destroy_refuses_below_a_mount(
    layout: Layout, spec: StorageSpec, paths: Paths, template: str
) -> None:
    layout.create(spec)
    inside = os.path.join(spec.private, "mnt")
    os.mkdir(inside)
    with new_filesystem("tmpfs", {}) as other:
        move_mount(other, inside)
    try:
        with pytest.raises(Failure, match=f"{inside} is mounted") as caught:
            layout.destroy(spec.private, paths.vzrm_dir)
        assert caught.value.exit_code == Exit.FS_DEL_PRVT
        assert os.path.isdir(inside)
    finally:
        umount(inside)


def test_trash_of_an_earlier_daemon_is_swept(paths: Paths) -> None:
    left = Path(paths.vzrm_dir, trash.PREFIX + "abc")
    left.mkdir(parents=True)
    (left / "file").touch()
    kept = Path(paths.vzrm_dir, "not-ours")
    kept.mkdir()
    trash.sweep(paths.vzrm_dir)
    machine.until("it is deleted", lambda: os.listdir(paths.vzrm_dir) == ["not-ours"])


def test_what_a_cut_off_create_left_is_swept(paths: Paths, spec: StorageSpec) -> None:
    parent = os.path.dirname(spec.private)
    half, kept = f"{paths.template_dir}/golden/.mkfs-xyz", f"{parent}/of-the-administrator.tmp"
    os.makedirs(half)
    os.makedirs(kept)
    Overlay().create(spec)
    assert trash.sweep_unfinished(paths.template_dir, paths.vzrm_dir) == [half]
    assert sorted(os.listdir(parent)) == ["101", "of-the-administrator.tmp"]
    assert len(os.listdir(f"{paths.template_dir}/golden")) == 1
    machine.until("it is deleted", lambda: not os.listdir(paths.vzrm_dir))


@pytest.fixture(params=["another file system", "another mount of the same"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A directory out of which nothing can be renamed."""
    where = tmp_path / "disk"
    where.mkdir()
    same = tmp_path / "elsewhere"
    same.mkdir()
    tree = open_tree(str(same)) if "mount" in request.param else new_filesystem("tmpfs", {})
    with tree:
        move_mount(tree, str(where))
    yield where
    umount(str(where))


def test_trash_on_another_disk_stays_there(paths: Paths, disk: Path) -> None:
    (disk / "private/101").mkdir(parents=True)
    gone = trash.discard(str(disk / "private/101"), paths.vzrm_dir)
    assert gone.startswith(f"{disk}/private/vztmp/{trash.PREFIX}")
    machine.until("it is deleted", lambda: not os.path.exists(gone) and not os.listdir(paths.vzrm_dir))


def test_trash_on_another_disk_is_swept_once_that_is_there(
    paths: Paths, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon ended before it was deleted, and the next one begins before the disk is mounted."""
    (disk / "private/101").mkdir(parents=True)
    with monkeypatch.context() as dying:
        dying.setattr(trash, "delete_later", lambda path: None)
        gone = trash.discard(str(disk / "private/101"), paths.vzrm_dir)
    asleep = f"{disk}/private.away"
    os.rename(f"{disk}/private", asleep)
    trash.sweep(paths.vzrm_dir)
    os.mkdir(f"{paths.var_dir}/another")
    another = trash.discard(f"{paths.var_dir}/another", paths.vzrm_dir)
    machine.until("it is deleted", lambda: not os.path.exists(another))  # by the worker, after what came before
    assert len(os.listdir(paths.vzrm_dir)) == 1, "it is not forgotten"
    os.rename(asleep, f"{disk}/private")
    trash.sweep(paths.vzrm_dir)
    machine.until("it is deleted", lambda: not os.path.exists(gone) and not os.listdir(paths.vzrm_dir))


def test_the_worker_outlives_what_it_cannot_delete(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    tried = threading.Event()

    def fails(_tree: str) -> None:
        tried.set()
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    with monkeypatch.context() as broken:
        broken.setattr(trash, "_remove", fails)
        first = trash.discard(str(tmp_path / "first"), paths.vzrm_dir)
        assert tried.wait(patient(10))
    second = trash.discard(str(tmp_path / "second"), paths.vzrm_dir)
    machine.until("it is deleted", lambda: not os.path.exists(second))
    assert os.path.isdir(first)


@pytest.mark.parametrize("kib", [SPACE_KIB * 4, SPACE_KIB // 2], ids=["grow", "shrink"])
def test_resize_keeps_the_files(
    spec: StorageSpec, ids: Fd, tmp_path: Path, kib: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Overlay()
    layout.create(spec)
    other = StorageSpec(101, spec.private, "overlay", spec.template_tree, kib, INODES)
    with mounted(layout, spec, ids, tmp_path / "root") as root:
        with fsids(BASE, BASE):
            (root / "kept").write_bytes(b"x" * 1_000_000)
        layout.resize(spec)  # nothing to be done
        monkeypatch.setattr(loopdev, "PATIENCE", 0.1)
        with pytest.raises(Failure, match="is mounted: stop or unmount CT 101"):
            layout.resize(other)
    monkeypatch.undo()
    layout.resize(other)
    with mounted(layout, other, ids, tmp_path / "root") as root:
        assert size_kib(root) == kib
        assert (root / "kept").stat().st_size == 1_000_000


@pytest.mark.parametrize("goal", [SPACE_KIB, SPACE_KIB * 4], ids=["undone", "repeated"])
def test_a_resize_that_was_cut_off(
    spec: StorageSpec, ids: Fd, tmp_path: Path, goal: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """hostd dies after the image has another size, and before that is written down."""
    layout = Overlay()
    layout.create(spec)
    real = ext4image._set_size

    def die(*args: object) -> None:
        real(*args)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(ext4image, "_set_size", die)
    with pytest.raises(KeyboardInterrupt):
        layout.resize(StorageSpec(101, spec.private, "overlay", spec.template_tree, SPACE_KIB * 4, INODES))
    monkeypatch.undo()
    wanted = StorageSpec(101, spec.private, "overlay", spec.template_tree, goal, INODES)
    layout.resize(wanted)
    with mounted(layout, wanted, ids, tmp_path / "root") as root:
        assert size_kib(root) == goal
    assert not overlay.Note.read(spec.private).resizing


def test_shrinking_below_what_is_stored_is_refused(spec: StorageSpec, ids: Fd, tmp_path: Path) -> None:
    layout = Overlay()
    layout.create(spec)
    with mounted(layout, spec, ids, tmp_path / "root") as root, fsids(BASE, BASE):
        (root / "big").write_bytes(os.urandom(20 << 20))
    image = os.path.join(spec.private, overlay.IMAGE)
    machine.until("the disk is let go", lambda: not loopdev.in_use(spec.private, image))
    size = os.path.getsize(image)
    with pytest.raises(Failure) as caught:
        layout.resize(StorageSpec(101, spec.private, "overlay", spec.template_tree, 8192, INODES))
    assert caught.value.exit_code == Exit.FS_NO_DISK_SPACE
    assert os.path.getsize(image) == size
    with mounted(layout, spec, ids, tmp_path / "root") as root:
        assert (root / "big").stat().st_size == 20 << 20


def test_a_disk_too_small_to_hold_anything_is_refused(spec: StorageSpec) -> None:
    with pytest.raises(Failure, match="DISKSPACE 100: must be from 4096 to") as caught:
        Overlay().create(StorageSpec(101, spec.private, "overlay", spec.template_tree, 100, None))
    assert caught.value.exit_code == Exit.INVALID_PARAMETER_VALUE


def test_many_creates_at_once_share_one_golden_image(spec: StorageSpec, paths: Paths) -> None:
    failed: list[BaseException] = []

    def create(ctid: int) -> None:
        try:
            Overlay().create(
                StorageSpec(ctid, f"{paths.var_dir}/private/{ctid}", "overlay", spec.template_tree)
            )
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=create, args=(ctid,)) for ctid in range(201, 209)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(os.listdir(f"{paths.var_dir}/private")) == 8
    assert len(os.listdir(f"{paths.template_dir}/golden")) == 1
