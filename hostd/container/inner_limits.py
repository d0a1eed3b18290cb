"""Limits that no cgroup holds: of PID 1, which its children inherit, and of the container's own namespaces.

One row of `ROWS` each.  CRIU keeps them: what a restore has to apply is what was set meanwhile.
"""

import errno
import os
import resource
import sys
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from hostd.config.model import CtConfig
from hostd.config.values import PAGE
from hostd.container import mounts
from hostd.container.container import Container
from hostd.container.remount import remount
from hostd.errors import Exit, Failure
from hostd.kernel.mount import DEVPTS
from hostd.kernel.namespace import namespace, write_in_ipcns
from hostd.kernel.process import Process, prlimit

NOFILE = (1024, 524288)  # soft and hard limit of open files: what systemd gives a service
_FEWEST_FILES = 128  # PID 1 starts programs with descriptors from 100 on

_SHM = "/proc/sys/kernel"
_SHM_UNLIMITED = 2 * sys.maxsize + 1 - (1 << 24)  # ULONG_MAX - 2^24, the kernel's own


class Row(NamedTuple):
    """`of` is the limit in a configuration, None: none; `put` gives it to a container whose PID 1 lives (OSError).

    *unit*: what one of it is to users.
    """

    key: str
    of: Callable[[CtConfig], int | None]
    put: Callable[[Container, int | None], Awaitable[None]]
    unit: int = 1
    new: bool = True  # a new PID 1 has none; otherwise it was made with the right one


def _rlimit(which: int) -> Callable[[Container, int | None], Awaitable[None]]:
    """Without a limit what we have ourselves: PID 1 has inherited it."""

    async def put(ct: Container, limit: int | None) -> None:
        most = resource.getrlimit(which) if limit is None else (limit, limit)
        prlimit(_process(ct).pidfd, which, most)

    return put


async def _open_files(ct: Container, most: int | None) -> None:
    """A cap on what every process may have.  Never more than without it: programs ask how many, and make room."""
    soft, hard = NOFILE
    if most is not None:
        hard = min(hard, max(most, _FEWEST_FILES))
    prlimit(_process(ct).pidfd, resource.RLIMIT_NOFILE, (min(soft, hard), hard))


async def _shared_memory(ct: Container, size: int | None) -> None:
    """All segments of System V together, in pages, and the largest one, in bytes."""
    root = ct.record.uid_base if ct.record else None
    most = _SHM_UNLIMITED if size is None else size
    with namespace(_process(ct).pidfd, "ipc") as ipcns:
        for name, value in (("shmall", most if size is None else most // PAGE), ("shmmax", most)):
            write_in_ipcns(ipcns, root or 0, f"{_SHM}/{name}", str(value))


async def _terminals(ct: Container, most: int | None) -> None:
    """At the devpts that is on /dev/pts now.  The guest may have put anything there: nothing else is touched."""
    base = ct.record.uid_base if ct.record else None
    await remount(_process(ct), "dev/pts", DEVPTS, mounts.devpts_options(base or 0, most))


def _process(ct: Container) -> Process:
    if ct.process is None:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH), f"PID 1 of CT {ct.ctid}")
    return ct.process


ROWS = (
    Row("NUMPTY", lambda one: one.numpty, _terminals, new=False),
    Row("SHMPAGES", lambda one: one.shmpages, _shared_memory, PAGE),
    Row("LOCKEDPAGES", lambda one: one.lockedpages, _rlimit(resource.RLIMIT_MEMLOCK), PAGE),
    Row("NUMFILE", lambda one: one.numfile, _open_files),
    Row("NUMSIGINFO", lambda one: one.numsiginfo, _rlimit(resource.RLIMIT_SIGPENDING)),
)


async def apply(ct: Container, wanted: CtConfig, rows: tuple[Row, ...] = ROWS) -> None:
    """Give *ct* what *wanted* says in *rows*.  Failure(SETUBC) with the first that cannot be; no undo."""
    for row in rows:
        value = row.of(wanted)
        try:
            await row.put(ct, value)
        except OSError as error:
            shown = "unlimited" if value is None else value // row.unit
            text = f"cannot set {row.key} to {shown}: {error.strerror}"
            raise Failure(Exit.SETUBC, text, hint=_hint(error)) from error


async def take_back(ct: Container, before: CtConfig, rows: tuple[Row, ...] = ROWS) -> dict[str, Failure]:
    """Give *ct* what it had, each of *rows* by itself.  Those for which that cannot be, by key, with the reason."""
    stays: dict[str, Failure] = {}
    for row in rows:
        try:
            await apply(ct, before, (row,))
        except Failure as failure:
            stays[row.key] = failure
    return stays


def _hint(error: OSError) -> str:
    return "raising it takes CAP_SYS_RESOURCE, which hostd has not" if isinstance(error, PermissionError) else ""


def changed(before: CtConfig, after: CtConfig) -> tuple[Row, ...]:
    return tuple(row for row in ROWS if row.of(before) != row.of(after))


def of_new(config: CtConfig) -> tuple[Row, ...]:
    """What a new PID 1 does not have by itself."""
    return tuple(row for row in ROWS if row.new and row.of(config) is not None)
