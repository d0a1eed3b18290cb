"""What an unmounted ext4 image says of itself: its superblock (fs/ext4/ext4.h), in blocks of 4 KiB."""

import struct
from typing import NamedTuple

from hostd.errors import Exit, Failure

BLOCK = 4096
INODE_BYTES = 256
INODES_PER_BLOCK = BLOCK // INODE_BYTES
_MAGIC = b"\x53\xef"


class Superblock(NamedTuple):
    """*journal* is the journal's length, *descriptors* the blocks of group descriptors and *reserved* those kept for
    more; `BLOCK` and `INODE_BYTES` are given, as our images have them.
    """

    blocks: int
    inodes: int
    free: int
    blocks_per_group: int
    inodes_per_group: int
    descriptors: int
    reserved: int
    journal: int

    @classmethod
    def read(cls, path: str) -> "Superblock":
        """Raises Failure(RESOURCE) when *path* holds no ext4."""
        with open(path, "rb") as image:
            image.seek(1024)
            raw = image.read(1024)
        if raw[0x38:0x3A] != _MAGIC:
            raise Failure(Exit.RESOURCE, f"{path} is damaged: it holds no ext4 file system")

        def number(kind: str, offset: int) -> int:
            return int(struct.unpack_from(kind, raw, offset)[0])

        blocks = number("<I", 0x150) << 32 | number("<I", 0x04)
        per_group = number("<I", 0x20)
        return cls(
            blocks=blocks,
            inodes=number("<I", 0x00),
            free=number("<I", 0x158) << 32 | number("<I", 0x0C),
            blocks_per_group=per_group,
            inodes_per_group=number("<I", 0x28),
            descriptors=_part(_part(blocks, per_group) * number("<H", 0xFE), BLOCK),
            reserved=number("<H", 0xCE),
            journal=number("<I", 0x14C) // BLOCK,  # the backup of the journal's inode: its size
        )

    @property
    def capacity(self) -> int:
        """What `df` shows as the size: everything but ext4's own tables and the journal.

        As the kernel counts (ext4_calculate_overhead).  The superblock has a field for it, but resize2fs clears it.
        """
        copies = sum(_has_superblock(group) for group in range(self.groups)) * (1 + self.descriptors + self.reserved)
        return self.blocks - copies - self.groups * (self._inode_table + 2) - self.journal  # 2: bitmaps

    @property
    def groups(self) -> int:
        return _part(self.blocks, self.blocks_per_group)

    @property
    def inode_share(self) -> float:
        """The part of each group that its inode table takes, 0..1; fixed when the image was formatted."""
        return self._inode_table / self.blocks_per_group

    @property
    def _inode_table(self) -> int:
        return self.inodes_per_group * INODE_BYTES // BLOCK


def _has_superblock(group: int) -> bool:
    """Feature sparse_super: the groups 0, 1 and the powers of 3, 5 and 7."""
    return group < 2 or any(_is_power(group, base) for base in (3, 5, 7))


def _is_power(number: int, base: int) -> bool:
    while number % base == 0:
        number //= base
    return number == 1


def _part(whole: int, size: int) -> int:
    """How many of *size* it takes."""
    return -(-whole // size)
