"""DISKINODES: as exactly as ext4 can have it; what it cannot is told."""


import pytest

from hostd.storage.base import StorageSpec
from hostd.storage.overlay import Overlay
from hostd.storage.simfs import Simfs
from hostd.storage.superblock import Superblock

pytestmark = pytest.mark.root


@pytest.mark.parametrize("files", [1, 1000, 20000])
def test_a_new_disk_has_the_inodes_that_were_wanted(spec: StorageSpec, files: int) -> None:
    """As exactly as mke2fs makes them; any other number is told."""
    spec = spec._replace(diskinodes=files, diskspace_kib=300 << 10)
    layout = Overlay()
    layout.create(spec)
    found = Superblock.read(f"{spec.private}/disk.img").inodes
    assert layout.other_inodes(spec) is layout.other_inodes(spec._replace(diskinodes=None)) is None
    assert layout.other_inodes(spec._replace(diskinodes=files + 2000)) == found
    assert layout.other_inodes(spec._replace(diskinodes=60000)) == found


def test_a_larger_disk_has_more_inodes(spec: StorageSpec) -> None:
    spec = spec._replace(diskinodes=20000, diskspace_kib=300 << 10)
    Overlay().create(spec)
    Overlay().resize(spec._replace(diskspace_kib=900 << 10))
    found = Overlay().other_inodes(spec)
    assert found is not None and found > 2 * 20000
    assert Simfs().other_inodes(spec) is None
