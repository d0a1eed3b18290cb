"""Disk I/O of a container: its weight at every disk, and the most of it at its own.

A limit is for one device, so only a container with a disk of its own (layout overlay: a loop device) has one.  OpenVZ
counts reading and writing together; the kernel gives each the whole limit.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from hostd.cgroup import files
from hostd.cgroup.writes import Write
from hostd.errors import Exit

IOPRIO = 4  # what everybody has
_WEIGHTS = (320, 365, 410, 460, 500, 550, 600, 640)  # by IOPRIO, as OpenVZ gave them to CFQ, of 10..1000
_CFQ = "blkio.weight"
_COMMON = 5  # what has 500 there has 100 in the others
_LEAST = 2  # that io.max takes; some kernels refuse 1
_V1_WEIGHTS, _V2_WEIGHTS = (_CFQ, "blkio.bfq.weight"), ("io.bfq.weight", "io.weight")


@dataclass(frozen=True, slots=True)
class Rate:
    """At most *most* bytes or operations a second, 0: no limit, at the disk *device* (MAJOR:MINOR)."""

    most: int
    device: str = field(compare=False)  # the same as long as the container runs


def weight(names: tuple[str, ...], path: str, priority: int) -> Iterator[Write]:
    """Only where there is such a file: which of them does something is a question of the disk's scheduler."""
    for name in names:
        if os.path.exists(f"{path}/{name}"):
            value = _WEIGHTS[priority] // (1 if name == _CFQ else _COMMON)
            yield Write(f"{path}/{name}", str(value), "IOPRIO", back=_first_line, code=Exit.SET_IO)


weight_v1, weight_v2 = partial(weight, _V1_WEIGHTS), partial(weight, _V2_WEIGHTS)


def has_costs(top: str | None) -> bool:
    """The host's administrator has switched on io.cost at some disk; *top* is the v2 tree."""
    return "enable=1" in (files.read_optional(top and f"{top}/io.cost.qos") or "")


def _first_line(text: str) -> str:
    """The weight at all disks; at single ones only the host's administrator sets one."""
    return text.partition("\n")[0]


Limiting: TypeAlias = Callable[[str, Rate], Iterator[Write]]


def rate(unit: str, what: str) -> tuple[Limiting, Limiting]:
    """How the limit of `bps` or `iops` is written, on v1 and on v2."""

    def v1(path: str, limit: Rate) -> Iterator[Write]:
        for way in ("read", "write") if limit.device else ():
            file = f"{path}/blkio.throttle.{way}_{unit}_device"
            before = partial(_of_device, limit.device, "0")
            yield Write(file, f"{limit.device} {limit.most}", what, back=before, code=Exit.SET_IO)

    def v2(path: str, limit: Rate) -> Iterator[Write]:
        if not limit.device:
            return
        most = str(max(limit.most, _LEAST)) if limit.most else "max"
        none = f"r{unit}=max w{unit}=max"
        text = f"{limit.device} r{unit}={most} w{unit}={most}"
        yield Write(f"{path}/io.max", text, what, back=partial(_of_device, limit.device, none), code=Exit.SET_IO)

    return v1, v2


def _of_device(device: str, none: str, text: str) -> str:
    """The line of *device*; what takes a limit away when there is none."""
    lines = (line for line in text.splitlines() if line.split(" ")[0] == device)
    return next(lines, f"{device} {none}")
