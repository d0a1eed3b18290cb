"""Features: the answers agree with what can be seen otherwise, and the probe leaves nothing."""

import ctypes
import fcntl
import mmap
import os
import struct
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hostd.kernel import loop, probes, probes_storage
from hostd.kernel.facade import address_of, check, lib
from hostd.kernel.fd import Fd
from hostd.kernel.features import ROWS, Features, probe
from hostd.kernel.mount import Propagation, mount_setattr, move_mount, new_filesystem, open_tree, umount
from hostd.kernel.namespace import CLONE_NEWNS
from tests.harness.needs import needs

pytestmark = pytest.mark.root


def machine_state() -> tuple[str, list[str], list[str], list[str]]:
    with open("/proc/thread-self/mountinfo", encoding="utf-8") as file:
        mounts = file.read()
    cgroups = [name for point in ("", "/unified") for name in _names(f"/sys/fs/cgroup{point}")]
    return mounts, _probe_things(cgroups), os.listdir("/proc/self/fd"), [t.name for t in threading.enumerate()]


def _names(path: str) -> list[str]:
    return os.listdir(path) if os.path.isdir(path) else []


def _probe_things(names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(f"vz-probe-{os.getpid()}")]


def test_the_probe_leaves_nothing() -> None:
    """In a mount namespace where nobody else mounts anything meanwhile."""

    def watched() -> tuple[object, object]:
        check(lib.vz_unshare(CLONE_NEWNS), "unshare")
        with open_tree("/", clone=False) as top:
            mount_setattr(top, propagation=Propagation.PRIVATE, recursive=True)
        probe()
        before = machine_state()
        probe()
        return before, machine_state()

    with ThreadPoolExecutor(1) as thread:
        before, after = thread.submit(watched).result()
    assert before == after


def test_every_feature_has_a_row_with_its_consequence() -> None:
    names = [name for name in Features._fields if name != "cgroup_mode"]
    assert sorted(row.field for row in ROWS) == sorted(names)
    assert all(row.consequence and "\n" not in row.consequence for row in ROWS)


def test_answers_that_can_be_seen_otherwise() -> None:
    found = probe()
    unified = "/sys/fs/cgroup/cgroup.controllers"
    assert (found.cgroup_mode == "v2") == os.path.exists(unified)
    assert found.pids == any(
        "pids" in _words(path) for path in ("/proc/cgroups", unified) if os.path.exists(path)
    )
    assert found.fsopen
    assert found.openat2
    assert found.close_range


def _words(path: str) -> list[str]:
    with open(path, encoding="ascii") as file:
        return file.read().split()


def test_without_a_kernel_feature_the_answer_is_no(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bool:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(probes_storage, "Stage", refuse)
    found = probe()
    assert not found.overlay
    assert not found.loop
    assert found.userns
    assert probes.cgroup_mode() == found.cgroup_mode


# ---- what is only asked for today holds what it promises


@needs("soft-dirty")
def test_soft_dirty_tells_what_was_written_since_it_was_asked() -> None:
    with mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
        page[0] = 1
        Path("/proc/self/clear_refs").write_text("4")
        assert not soft_dirty(page)
        page[0] = 2
        assert soft_dirty(page)


def soft_dirty(page: mmap.mmap) -> bool:
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        pagemap.seek(address_of(page) // mmap.PAGESIZE * probes.PAGEMAP_ENTRY)
        return bool(int.from_bytes(pagemap.read(probes.PAGEMAP_ENTRY), "little") & probes.SOFT_DIRTY)


PROJECT, LIMIT_KIB = 101, 1024
QUOTACTL_FD = 443
Q_SETQUOTA, PRJQUOTA, QIF_BLIMITS = 0x800008, 2, 1
FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR, INHERIT = 0x801C581F, 0x401C5820, 0x200


@pytest.fixture
def quota_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with project quota."""
    image, place = tmp_path / "image", tmp_path / "disk"
    place.mkdir()
    with open(image, "wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", "quota,project", "-I", "256", str(image)], check=True)
    with Fd.open(str(image), os.O_RDWR) as backing:
        device = loop.attach(backing)
    try:
        with new_filesystem("ext4", {"source": device.path, "prjquota": None}) as made:
            move_mount(made, str(place))
        yield place
        umount(str(place))
    finally:
        device.detach()


def limit(folder: Path) -> None:
    """Make *folder* the root of PROJECT and give that LIMIT_KIB."""
    with Fd.open(str(folder), os.O_RDONLY) as top:
        flags, *rest = struct.unpack("IIIII8s", fcntl.ioctl(top.fileno(), FS_IOC_FSGETXATTR, bytes(28)))
        attributes = struct.pack("IIIII8s", flags | INHERIT, rest[0], rest[1], PROJECT, rest[3], rest[4])
        fcntl.ioctl(top.fileno(), FS_IOC_FSSETXATTR, attributes)
        block = struct.pack("8QI4x", LIMIT_KIB, LIMIT_KIB, 0, 0, 0, 0, 0, 0, QIF_BLIMITS)
        libc = ctypes.CDLL(None, use_errno=True)
        done = libc.syscall(QUOTACTL_FD, top.fileno(), Q_SETQUOTA << 8 | PRJQUOTA, PROJECT, block)
        assert done == 0, os.strerror(ctypes.get_errno())


@needs("ext4-prjquota")
def test_a_project_quota_stops_who_is_not_above_it_and_only_below_its_directory(quota_disk: Path) -> None:
    inside, outside = quota_disk / "inside", quota_disk / "outside"
    for folder in (inside, outside):
        folder.mkdir()
    limit(inside)
    assert written(outside) == 4 << 20
    assert LIMIT_KIB << 9 < written(inside) <= LIMIT_KIB << 10


def written(folder: Path) -> int:
    """How much of 4 MiB can be written without CAP_SYS_RESOURCE, which is above any quota."""
    fill = ["dd", "if=/dev/zero", f"of={folder}/big", "bs=64k", "count=64"]
    subprocess.run(["setpriv", "--bounding-set=-sys_resource", *fill], capture_output=True, check=False)
    return (folder / "big").stat().st_size
