"""An ext4 image of a directory, sparse and without what only a disk that lives long needs."""

import os

from tests.vm import cache

BLOCK = 4096


def make(path: str, tree: str, spare_mib: int, label: str = "") -> None:
    """Write the image *path* with the content of *tree* and room for *spare_mib* more.  Needs no root."""
    blocks = sum((os.lstat(file).st_size + BLOCK - 1) // BLOCK for file in _files(tree))
    with open(path, "wb") as file:
        file.truncate(int(blocks * BLOCK * 1.15) + ((32 + spare_mib) << 20))
    cache.run(
        "mke2fs", "-q", "-F", "-t", "ext4", "-b", str(BLOCK), "-m", "0", "-L", label,
        "-O", "^has_journal,^resize_inode", "-E", "lazy_itable_init=1,nodiscard,root_owner=0:0", "-d", tree, path,
    )  # fmt: skip


def _files(tree: str) -> list[str]:
    return [f"{top}/{name}" for top, folders, names in os.walk(tree) for name in (*folders, *names)]
