"""What mounted or running containers use at this moment, and have done so far."""

import asyncio
import os
from collections.abc import Iterable, Set
from functools import partial

from hostd.cgroup import activity, stats
from hostd.cgroup.tree import CtCgroup
from hostd.command.figures import PARTS, Counter, Done, Usage
from hostd.config.model import SIZED
from hostd.container import counters
from hostd.container.container import Container
from hostd.container.record import Record
from hostd.daemon import loads
from hostd.net import traffic
from hostd.storage import diskstats

_SLOW = frozenset(("cpu", "io", "net"))  # the kernel may have sums to make, or somebody changes the network

Wanted = tuple[Container, Set[str]]


async def of(wanted: Iterable[Wanted]) -> dict[int, Usage]:
    """Of each container the parts asked for, as `Host.usage` names them."""
    there = [(ct, parts) for ct, parts in wanted if ct.record is not None]
    rows = await counters.rows([(ct, parts - PARTS) for ct, parts in there])
    done: dict[int, Done] = {}
    if any(parts & _SLOW for _, parts in there):
        works = {ct.ctid: partial(_done, ct, ct.record, parts) for ct, parts in there if ct.record and ct.running}
        done = await asyncio.to_thread(lambda: {ctid: work() for ctid, work in works.items()})
    return {ct.ctid: _usage(ct, parts, rows.get(ct.ctid, {}), done.get(ct.ctid, Done())) for ct, parts in there}


def _usage(ct: Container, parts: Set[str], rows: counters.Rows, done: Done) -> Usage:
    found = {name: Counter(row.held, row.maxheld, row.failcnt) for name, row in rows.items()}
    if "processes" in parts and "numproc" not in found and ct.running:
        processes = stats.processes(CtCgroup(ct.world.tree, ct.ctid))
        found |= {} if processes is None else {"numproc": Counter(processes)}
    load = loads.averages(ct) if "load" in parts and ct.running else None
    kib, inodes = _disk_use(ct) if "disk" in parts else (None, None)
    return Usage(counters=found, load=load, disk_kib=kib, disk_inodes=inodes, done=done)


def _done(ct: Container, record: Record, parts: Set[str]) -> Done:
    work = activity.activity(CtCgroup(ct.world.tree, ct.ctid)) if "cpu" in parts else activity.Activity(None, {})
    disk = diskstats.transferred(record.storage) if "io" in parts else None
    net = traffic.traffic(record.host_if) if "net" in parts else None
    return Done(
        cpu=work.cpu,
        pressure=work.pressure,
        read=disk.read if disk else None,
        written=disk.written if disk else None,
        came=net.came if net else None,
        went=net.went if net else None,
    )


def _disk_use(ct: Container) -> tuple[int | None, int | None]:
    """Used KiB and inodes of the mounted tree, where it is a file system of its own."""
    record = ct.record
    if record is None or record.layout not in SIZED:
        return None, None
    try:
        status = os.statvfs(record.root)
    except OSError:
        return None, None
    return (status.f_blocks - status.f_bfree) * status.f_frsize // 1024, status.f_files - status.f_ffree
