"""Mounts as descriptors, on tmpfs of the test's own."""

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostd.kernel import caps
from hostd.kernel.fd import Fd
from hostd.kernel.mount import (
    MountAttr,
    Propagation,
    fsids,
    is_mounted,
    mount_setattr,
    mounts_below,
    move_mount,
    new_filesystem,
    open_tree,
    openat2,
    umount,
)
from hostd.kernel.namespace import userns
from tests.harness.needs import needs

pytestmark = pytest.mark.root

BASE = 41 << 16


@pytest.fixture
def tmpfs() -> Iterator[Fd]:
    with new_filesystem("tmpfs", {"mode": "755", "size": "1m"}) as mnt:
        yield mnt


@pytest.fixture
def point(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "a mount point"
    path.mkdir()
    yield str(path)
    for mounted in mounts_below(str(path)):
        umount(mounted, detach=True)


def touch(dir: Fd, name: str) -> None:
    Fd.open(name, os.O_CREAT | os.O_WRONLY, 0o644, dir=dir).close()


def test_a_detached_mount_works_without_being_anywhere(tmpfs: Fd) -> None:
    touch(tmpfs, "file")
    assert os.listdir(tmpfs.path) == ["file"]


def test_attached_it_is_mounted_and_unmounted(tmpfs: Fd, point: str) -> None:
    assert not is_mounted(point)
    move_mount(tmpfs, point)
    assert is_mounted(point)
    assert mounts_below(os.path.dirname(point)) == [point]
    tmpfs.close()
    umount(point)
    assert not is_mounted(point)


def test_a_clone_is_a_mount_of_its_own(tmpfs: Fd, point: str) -> None:
    move_mount(tmpfs, point)
    touch(tmpfs, "file")
    with open_tree(point) as clone:
        mount_setattr(clone, set=MountAttr.RDONLY)
        assert os.listdir(clone.path) == ["file"]
        with pytest.raises(OSError, match="Read-only"):
            touch(clone, "other")
    touch(tmpfs, "other")


def test_a_clone_of_a_shared_mount_shares_nothing(tmpfs: Fd, point: str) -> None:
    os.mkdir(f"{tmpfs.path}/inner")
    mount_setattr(tmpfs, propagation=Propagation.SHARED)
    move_mount(tmpfs, point)
    clone = open_tree(point)
    second = f"{os.path.dirname(point)}/second"
    os.mkdir(second)
    move_mount(clone, second)
    try:
        move_mount(new_filesystem("tmpfs", {}), f"{second}/inner")
        assert mounts_below(point) == [os.path.realpath(point)]
    finally:
        for mounted in mounts_below(second):
            umount(mounted, detach=True)


def test_not_cloned_it_is_the_mount_itself(tmpfs: Fd, point: str) -> None:
    move_mount(tmpfs, point)
    with open_tree(point, clone=False) as same:
        mount_setattr(same, set=MountAttr.RDONLY)
    with pytest.raises(OSError, match="Read-only"):
        touch(tmpfs, "file")
    with open_tree(point, clone=False) as same:
        mount_setattr(same, clear=MountAttr.RDONLY)
    touch(tmpfs, "file")


@pytest.mark.parametrize("path", ["link", "link/below", "up/../link"])
def test_no_link_in_a_tree_is_followed(tmpfs: Fd, point: str, path: str) -> None:
    move_mount(tmpfs, point)
    os.mkdir("up", dir_fd=tmpfs.fileno())
    os.symlink("/tmp", "link", dir_fd=tmpfs.fileno())
    with new_filesystem("tmpfs", {}) as other, pytest.raises(OSError) as caught:
        move_mount(other, path, dir=tmpfs)
    assert caught.value.errno == errno.ELOOP
    assert path in str(caught.value)


def test_attaching_to_a_descriptor_itself(tmpfs: Fd, point: str) -> None:
    with Fd.open(point, os.O_PATH) as where:
        move_mount(tmpfs, "", dir=where)
    assert is_mounted(point)


def test_openat2_stays_in_its_root_and_follows_no_link(tmpfs: Fd) -> None:
    os.symlink("here", "link", dir_fd=tmpfs.fileno())
    os.mkdir("here", dir_fd=tmpfs.fileno())
    for climbing in ("/here", "../../here"):
        openat2(tmpfs, climbing, os.O_RDONLY).close()
    for leading in ("link", "link/file"):
        with pytest.raises(OSError) as caught:
            openat2(tmpfs, leading, os.O_RDONLY)
        assert caught.value.errno == errno.ELOOP


def test_the_kernels_own_words_are_in_the_error() -> None:
    with pytest.raises(OSError, match="Unknown parameter 'colour'") as caught:
        new_filesystem("tmpfs", {"colour": "red"})
    assert caught.value.filename == "tmpfs"
    with pytest.raises(OSError, match="fsopen"):
        new_filesystem("nofs", {})


def test_unmounting_what_is_not_mounted_names_it(point: str) -> None:
    with pytest.raises(OSError, match="umount2") as caught:
        umount(point)
    assert caught.value.filename == point


# ---- ids


@needs("idmap-tmpfs")
def test_an_idmapped_mount_translates_both_ways(tmpfs: Fd) -> None:
    touch(tmpfs, "roots")
    with userns(BASE) as ns:
        mount_setattr(tmpfs, userns=ns)
    assert os.stat("roots", dir_fd=tmpfs.fileno()).st_uid == BASE
    with pytest.raises(OSError) as caught:  # host root has no id in there
        touch(tmpfs, "unmapped")
    assert caught.value.errno == errno.EOVERFLOW
    with fsids(BASE + 33, BASE + 34):
        touch(tmpfs, "daemons")
    found = os.stat("daemons", dir_fd=tmpfs.fileno())
    assert (found.st_uid, found.st_gid) == (BASE + 33, BASE + 34)


def thread_status() -> dict[str, str]:
    with open("/proc/thread-self/status", encoding="utf-8") as file:
        return {key: value.strip() for key, _, value in (line.partition(":") for line in file)}


def test_fsids_keep_the_capabilities_and_touch_this_thread_only() -> None:
    before = thread_status()
    elsewhere: list[str] = []
    with fsids(BASE, BASE + 1):
        inside = thread_status()
        other = threading.Thread(target=lambda: elsewhere.append(thread_status()["Uid"]))
        other.start()
        other.join()
    assert inside["Uid"].split()[3] == str(BASE)
    assert inside["Gid"].split()[3] == str(BASE + 1)
    assert caps.bits(inside["CapEff"]) == caps.bits(before["CapPrm"])
    after = thread_status()
    assert {key: after[key] for key in ("Uid", "Gid", "CapEff")} == {
        key: before[key] for key in ("Uid", "Gid", "CapEff")
    }


def test_fsids_are_given_back_when_the_body_fails() -> None:
    with pytest.raises(ZeroDivisionError), fsids(BASE, BASE):
        raise ZeroDivisionError
    assert thread_status()["Uid"].split()[3] == "0"
