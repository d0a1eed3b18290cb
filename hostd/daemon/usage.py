"""What a mounted or running container uses at this moment."""

import os
from collections.abc import Set

from hostd.cgroup import stats
from hostd.cgroup.tree import CtCgroup
from hostd.command.host import Counter, Usage
from hostd.config.model import SIZED
from hostd.container.container import Container


def of(ct: Container | None, parts: Set[str]) -> Usage:
    """Of *parts*, as `Host.usage` names them; nothing of a container that is not there."""
    record = ct.record if ct is not None else None
    if ct is None or record is None:
        return Usage()
    counters = _counters(CtCgroup(ct.world.tree, ct.ctid), parts) if ct.running else {}
    kib, inodes = _disk_use(record.root) if "disk" in parts and record.layout in SIZED else (None, None)
    return Usage(counters=counters, load=None, disk_kib=kib, disk_inodes=inodes)


def _counters(cgroup: CtCgroup, parts: Set[str]) -> dict[str, Counter]:
    if "counters" in parts:
        rows = stats.usage(cgroup).counters()
        return {name: Counter(row.held, row.maxheld, row.failcnt) for name, row in rows.items()}
    processes = stats.processes(cgroup) if "processes" in parts else None
    return {} if processes is None else {"numproc": Counter(processes)}


def _disk_use(root: str) -> tuple[int | None, int | None]:
    """Used KiB and inodes of the mounted tree *root*, a file system of its own."""
    try:
        status = os.statvfs(root)
    except OSError:
        return None, None
    return (status.f_blocks - status.f_bfree) * status.f_frsize // 1024, status.f_files - status.f_ffree
