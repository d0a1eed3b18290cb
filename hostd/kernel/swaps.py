"""What the machine swaps to: partitions, files, zram."""

import os

TABLE = "/proc/swaps"


def possible() -> bool:
    """Has this kernel swapping at all, now or after a swapon(8)?  One without it has no such table."""
    return os.path.exists(TABLE)


def present() -> bool:
    """Is there anything to swap to?"""
    try:
        with open(TABLE, encoding="utf-8", errors="surrogateescape") as file:
            return len(file.readlines()) > 1  # the first line is the heading
    except FileNotFoundError:
        return False
