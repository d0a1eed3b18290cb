"""What a disk may be formatted for."""

import pytest

from hostd.config.values import UNLIMITED
from hostd.errors import Failure
from hostd.storage.ext4image import LARGEST_KIB, OWN_INODES, geometry


@pytest.mark.parametrize(
    ("kib", "files", "text"),
    [
        (UNLIMITED, None, "DISKSPACE unlimited: must be from 4096 to "),
        (LARGEST_KIB + 1, None, "DISKSPACE 16106127361: must be"),
        (4095, None, "DISKSPACE 4095: must be"),
        (1 << 20, 99999999999, "DISKINODES 99999999999: must be at most "),
    ],
)
def test_a_disk_that_cannot_be(kib: int, files: int | None, text: str) -> None:
    with pytest.raises(Failure) as refused:
        geometry(kib, files)
    assert refused.value.exit_code == 21 and refused.value.message.startswith(text)


def test_no_limit_of_the_files_is_the_default() -> None:
    assert geometry(1 << 20, UNLIMITED) == geometry(1 << 20, 2**31 - 1) == geometry(1 << 20, None)
    assert geometry(1 << 20, 5).inodes == 5 + OWN_INODES
    assert geometry(None, None).space_kib == 10 << 20
