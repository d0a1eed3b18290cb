"""hostd.storage on real loop devices, ext4 and overlay: create, open, limits, ids, release, destroy."""

import errno
import os
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hostd.config.paths import Paths
from hostd.errors import Exit, Failure
from hostd.kernel.fd import Fd
from hostd.kernel.mount import fsids, is_mounted, move_mount, new_filesystem, umount
from hostd.kernel.namespace import userns
from hostd.storage import edit, loopdev, overlay, trash
from hostd.storage.base import Layout, StorageSpec, usage
from hostd.storage.overlay import Overlay
from hostd.storage.simfs import Simfs

pytestmark = pytest.mark.root

BASE = 3 << 16  # the host's id of the container's root
SPACE_KIB = 65536
INODES = 2000


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(str(tmp_path))


@pytest.fixture
def template(paths: Paths) -> str:
    """A template tree with something of every kind."""
    tree = Path(paths.template_tree, "tiny-0123456789abcdef")
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/issue").write_text("from the template\n")
    (tree / "etc/shadow").write_text("root:*::::::\n")
    os.chmod(tree / "etc/shadow", 0o640)
    os.chown(tree / "etc/shadow", 0, 42)
    (tree / "home").mkdir()
    os.chown(tree / "home", 1000, 1000)
    (tree / "bin").symlink_to("usr/bin")
    os.link(tree / "etc/issue", tree / "etc/issue.net")
    return str(tree)


@pytest.fixture
def spec(paths: Paths, template: str) -> StorageSpec:
    return StorageSpec(101, f"{paths.var_dir}/private/101", "overlay", template, SPACE_KIB, INODES)


@pytest.fixture
def ids() -> Iterator[Fd]:
    with userns(BASE) as namespace:
        yield namespace


@contextmanager
def mounted(layout: Layout, spec: StorageSpec, ids: Fd | None, where: Path) -> Iterator[Path]:
    """The storage attached at *where*, as a start does it: the opened object is closed at once."""
    where.mkdir(exist_ok=True)
    with layout.open(spec, ids) as opened:
        move_mount(opened.root, str(where))
    try:
        yield where
    finally:
        umount(str(where))


def fill(directory: Path) -> tuple[int, int]:
    """Write one file until nothing fits; (KiB written, errno)."""
    written = 0
    with open(directory / "big", "wb", buffering=0) as file:
        while True:
            try:
                written += file.write(bytes(1 << 20))
                os.fsync(file.fileno())
            except OSError as error:
                return written // 1024, error.errno or 0


def until(true: Callable[[], bool]) -> None:
    """The kernel frees loop devices and the trash worker deletes in their own time: look again, for 10 s at
    most.
    """
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        os.sched_yield()


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
        use = usage(str(root))
        assert use.size_kib == SPACE_KIB
        assert use.used_kib < 64
        with fsids(BASE, BASE):
            written, why = fill(root)
        assert why == errno.ENOSPC
        assert SPACE_KIB * 0.95 < written < SPACE_KIB
        (root / "big").unlink()
        until(lambda: usage(str(root)).used_kib < 64)


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
        use = usage(str(root))
        assert use.inodes_used == use.inodes


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
    assert os.stat(image).st_blocks * 512 < 24 << 20  # the journal stays, the data went back to the host


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
    until(lambda: not loopdev.in_use(spec.private, image))
    layout.release(spec.private, {})


def test_an_opened_storage_that_is_never_attached_leaves_nothing(spec: StorageSpec, ids: Fd) -> None:
    layout = Overlay()
    layout.create(spec)
    with layout.open(spec, ids) as opened:
        assert opened.record()["image"] == os.path.join(spec.private, overlay.IMAGE)
    until(lambda: not loopdev.in_use(spec.private, opened.record()["image"]))


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
    until(lambda: not loopdev.in_use(spec.private, image))
    os.replace(crashed, image)
    assert b"needs_recovery" in subprocess.check_output(["dumpe2fs", "-h", image], stderr=subprocess.DEVNULL)
    with mounted(layout, spec, ids, tmp_path / "root") as root:
        assert (root / "kept").read_text() == "on the disk"


def test_older_kernels_get_named_layers(
    spec: StorageSpec, ids: Fd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Linux 6.13 overlay knows no descriptors, before 6.15 no detached layers: EINVAL for both."""
    asked: list[list[str]] = []

    def older(fstype: str, options: dict[str, str | Fd | None]) -> Fd:
        asked.append(list(options))
        if "lowerdir+" in options:
            raise OSError(errno.EINVAL, "Invalid argument")
        assert fstype == "ext4" or is_mounted(os.path.join(spec.private, "lower.mnt"))
        return new_filesystem(fstype, options)

    layout = Overlay()
    layout.create(spec)
    monkeypatch.setattr(overlay, "new_filesystem", older)
    with mounted(layout, spec, ids, tmp_path / "root") as root:
        with fsids(BASE, BASE):
            (root / "etc/issue").write_text("changed")
        assert os.stat(root / "etc/issue").st_uid == BASE
    assert "lowerdir" in asked[-1]
    assert sorted(os.listdir(spec.private)) == ["disk.img", "layout", "loop"]


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
    until(lambda: not os.listdir(paths.vzrm_dir))


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
    until(lambda: os.listdir(paths.vzrm_dir) == ["not-ours"])


def test_what_a_cut_off_create_left_is_swept(paths: Paths, spec: StorageSpec) -> None:
    parent = os.path.dirname(spec.private)
    halves = [f"{parent}/103.tmp", f"{paths.template_dir}/golden/.mkfs-xyz"]
    for half in halves:
        os.makedirs(half)
    Overlay().create(spec)
    assert trash.sweep_unfinished(paths.template_dir, [parent], paths.vzrm_dir) == halves
    assert os.listdir(parent) == ["101"] and len(os.listdir(f"{paths.template_dir}/golden")) == 1
    until(lambda: not os.listdir(paths.vzrm_dir))


def test_trash_on_another_file_system_stays_there(paths: Paths, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with new_filesystem("tmpfs", {}) as disk:
        move_mount(disk, str(other))
    try:
        (other / "private/101").mkdir(parents=True)
        gone = trash.discard(str(other / "private/101"), paths.vzrm_dir)
        assert gone.startswith(f"{other}/private/vztmp/{trash.PREFIX}")
        until(lambda: not os.path.exists(gone))
    finally:
        umount(str(other))


@pytest.mark.parametrize("kib", [SPACE_KIB * 4, SPACE_KIB // 2], ids=["grow", "shrink"])
def test_resize_keeps_the_files(spec: StorageSpec, ids: Fd, tmp_path: Path, kib: int) -> None:
    layout = Overlay()
    layout.create(spec)
    with mounted(layout, spec, ids, tmp_path / "root") as root:
        with fsids(BASE, BASE):
            (root / "kept").write_bytes(b"x" * 1_000_000)
        with pytest.raises(Failure, match="is mounted: stop CT 101"):
            layout.resize(spec)
    until(lambda: not loopdev.in_use(spec.private, os.path.join(spec.private, overlay.IMAGE)))
    other = StorageSpec(101, spec.private, "overlay", spec.template_tree, kib, INODES)
    layout.resize(other)
    with mounted(layout, other, ids, tmp_path / "root") as root:
        assert abs(usage(str(root)).size_kib - kib) < kib * 0.01
        assert (root / "kept").stat().st_size == 1_000_000


def test_shrinking_below_what_is_stored_is_refused(spec: StorageSpec, ids: Fd, tmp_path: Path) -> None:
    layout = Overlay()
    layout.create(spec)
    with mounted(layout, spec, ids, tmp_path / "root") as root, fsids(BASE, BASE):
        (root / "big").write_bytes(os.urandom(20 << 20))
    image = os.path.join(spec.private, overlay.IMAGE)
    until(lambda: not loopdev.in_use(spec.private, image))
    size = os.path.getsize(image)
    with pytest.raises(Failure) as caught:
        layout.resize(StorageSpec(101, spec.private, "overlay", spec.template_tree, 8192, INODES))
    assert caught.value.exit_code == Exit.FS_NO_DISK_SPACE
    assert os.path.getsize(image) == size
    with mounted(layout, spec, ids, tmp_path / "root") as root:
        assert (root / "big").stat().st_size == 20 << 20


def test_a_disk_too_small_to_hold_anything_is_refused(spec: StorageSpec) -> None:
    with pytest.raises(Failure, match="at least 4096 KiB") as caught:
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


def test_simfs_says_what_it_does_not_limit(spec: StorageSpec) -> None:
    assert Simfs().warnings(StorageSpec(1, "/x", "simfs", None)) == ()
    (line,) = Simfs().warnings(spec)
    assert "DISKSPACE and DISKINODES" in line
    assert Overlay().warnings(spec) == ()


@LAYOUTS
def test_editing_files_of_a_stopped_container(layout: Layout, spec: StorageSpec, ids: Fd) -> None:
    layout.create(spec)
    with layout.open(spec, ids) as opened:
        assert edit.read(opened.root, "/etc/issue") == b"from the template\n"
        assert edit.read(opened.root, "/etc/absent") is None
        edit.write(opened.root, "/etc/hostname", b"ct101\n", owner=BASE)
        found = os.stat("etc/hostname", dir_fd=opened.root.fileno())
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (BASE, BASE, 0o644)
        with pytest.raises(FileNotFoundError):
            edit.write(opened.root, "/absent/file", b"", owner=BASE)


@LAYOUTS
def test_links_of_the_container_do_not_lead_an_edit_out(
    layout: Layout, spec: StorageSpec, ids: Fd, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    layout.create(spec)
    with layout.open(spec, ids) as opened:
        with fsids(BASE, BASE):
            os.symlink(str(tmp_path), "out", dir_fd=opened.root.fileno())
            os.symlink(str(secret), "etc/resolv.conf", dir_fd=opened.root.fileno())
            os.symlink("../../../../../../../" + str(secret), "etc/climb", dir_fd=opened.root.fileno())
        assert edit.read(opened.root, "/etc/resolv.conf") is None
        assert edit.read(opened.root, "/etc/climb") is None
        with pytest.raises(FileNotFoundError):
            edit.write(opened.root, "/out/secret", b"owned", owner=BASE)
        edit.write(opened.root, "/etc/resolv.conf", b"nameserver 192.0.2.1\n", owner=BASE)
        assert edit.read(opened.root, "/etc/resolv.conf") == b"nameserver 192.0.2.1\n"
    assert secret.read_text() == "of the host"
