"""What has been read from a container's disk and written to it: the counters of its own block device.

They count all of it, page cache or not, which no cgroup of v1 does.  The kernel never sets them back, and takes a loop
device again for another container: so the counters of the moment of mounting are kept beside the device.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

DEVICE, BEFORE = "loop", "before"  # in the storage of a container's record
_READ, _WRITTEN = 2, 6  # sectors (Documentation/block/stat.rst)
_SECTOR = 512


class Transferred(NamedTuple):
    """Bytes since it was mounted."""

    read: int
    written: int


def transferred(storage: Mapping[str, str]) -> Transferred | None:
    """Of a mounted container whose record has *storage*; None: it has no device of its own."""
    if BEFORE not in storage:
        return None
    try:
        now = _sectors(storage[DEVICE])
    except OSError:  # unmounted meanwhile
        return None
    read, written = (number - int(was) for number, was in zip(now, storage[BEFORE].split(), strict=True))
    return Transferred(read * _SECTOR, written * _SECTOR)


def noted(device: str) -> dict[str, str]:
    """What the record of a container has to hold that was mounted from *device* now."""
    return {DEVICE: device, BEFORE: " ".join(map(str, _sectors(device)))}


def _sectors(device: str) -> tuple[int, int]:
    """Read and written ones since *device* was made."""
    with open(f"/sys/class/block/{os.path.basename(device)}/stat", encoding="ascii") as file:
        fields = file.read().split()
    return int(fields[_READ]), int(fields[_WRITTEN])
