"""The disks below a directory, and who decides there whose turn it is."""

import os
import re


def schedulers(path: str) -> frozenset[str]:
    """The I/O schedulers at work on the disks that hold *path*; empty for a file system without a disk of the kernel's.

    Of what does not exist, those of the directory where it would be made.
    """
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    number = os.stat(path).st_dev
    return frozenset(_of(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}"))


def _of(device: str) -> list[str]:
    """Of a partition its disk's; of a mapped device those of the disks that it is made of."""
    device = os.path.realpath(device)
    folder = device if os.path.isdir(f"{device}/queue") else os.path.dirname(device)
    below = f"{folder}/slaves"
    found = [one for name in (os.listdir(below) if os.path.isdir(below) else ()) for one in _of(f"{below}/{name}")]
    try:
        with open(f"{folder}/queue/scheduler", encoding="ascii") as file:
            return found + re.findall(r"\[([^]]+)\]", file.read())
    except FileNotFoundError:
        return found
