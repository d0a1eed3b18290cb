"""Memory that a container keeps when the host is short of it: memory.low and memory.min, of v2 alone.

The kernel gives a cgroup no more protection than its parent has, so our directory has the sum of its containers'.  It
must not have more: what nobody claims of it would be shared out among them (the mount option memory_recursiveprot).
Of memory.min it has less, if need be, than was promised: what nobody can reclaim must not be all that the host has, or
its OOM killer would be the one to find memory.  Who has a part of the sum then gets that much less.
On v1 there is nothing like it: a soft limit makes a victim of whoever has one, and protects nobody.
"""

import os
import threading
from collections.abc import Callable, Iterator

from hostd.cgroup import files
from hostd.cgroup.root import CgroupTree
from hostd.cgroup.writes import Write

_MOST = 2**63 - 1
FILES = ("memory.low", "memory.min")

_sums = threading.Lock()  # from adding up to writing: limits are set by several threads


def guarantee(name: str, what: str) -> Callable[[str, int], Iterator[Write]]:
    """How the file *name* is written, with so many bytes."""

    def v2(path: str, wanted: int) -> Iterator[Write]:
        parent = os.path.dirname(path)
        if not wanted and not os.path.exists(f"{path}/{name}"):
            return
        yield Write(f"{path}/{name}", _text(wanted), what)
        with _sums:
            yield Write(f"{parent}/{name}", _text(_promised(parent, name)), what)

    return v2


def take_over(tree: CgroupTree) -> None:
    """What an earlier hostd has guaranteed without a number (`unlimited`) is no guarantee any more."""
    root = tree.unified_root if tree.mode == "v2" else None
    for ctid in tree.ctids() if root else ():
        for name in FILES:
            if files.read_optional(f"{root}/{ctid}/{name}") == "max":
                files.write(f"{root}/{ctid}/{name}", "0")
    settle(tree)


def settle(tree: CgroupTree) -> None:
    """A container is gone: so is its part of the sums."""
    root = tree.unified_root if tree.mode == "v2" else None
    for name in FILES if root else ():
        if files.read_optional(f"{root}/{name}") in (None, "0"):
            continue
        with _sums:
            files.write(f"{root}/{name}", _text(_promised(f"{root}", name)))


def _promised(parent: str, name: str) -> int:
    total = _sum(parent, name)
    return min(total, _ram() * 3 // 4) if total and name == "memory.min" else total


def _ram() -> int:
    """Memory of the host, in bytes, without what huge pages have taken: nobody can reclaim that."""
    lines = (line.split() for line in files.read("/proc/meminfo").splitlines())
    kib = {words[0]: int(words[1]) for words in lines if words[0] in ("MemTotal:", "Hugetlb:")}
    return (kib["MemTotal:"] - kib.get("Hugetlb:", 0)) << 10


def _sum(parent: str, name: str) -> int:
    with os.scandir(parent) as entries:
        texts = [files.read_optional(f"{entry.path}/{name}") for entry in entries if entry.name.isdecimal()]
    return sum(_MOST if text == "max" else int(text) for text in texts if text)


def _text(value: int) -> str:
    return "max" if value >= _MOST else str(value)
