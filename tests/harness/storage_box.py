"""A template, a container on it and its storage mounted, for the storage tests."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hostd.config.paths import Paths
from hostd.kernel.fd import Fd
from hostd.kernel.mount import move_mount, umount
from hostd.kernel.namespace import userns
from hostd.storage.base import Layout, StorageSpec

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


def size_kib(root: Path) -> int:
    """The size of the file system mounted at *root*, as df(1) shows it."""
    found = os.statvfs(root)
    return found.f_blocks * found.f_frsize // 1024


def used_kib(root: Path) -> int:
    found = os.statvfs(root)
    return (found.f_blocks - found.f_bfree) * found.f_frsize // 1024


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
