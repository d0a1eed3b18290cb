"""After a crash of the daemon: is a dump or restore still in flight, and how did it end?

CRIU goes on without the daemon.  It holds the lock of the images, so "in flight" is a fact of the kernel and not of a
recorded pid.  What `inspect` finds:

    dump      RUNNING   wait (`settled`)
              DONE      `Dump.CTID` is complete, the container is gone
              FAILED    the container runs on; the leftovers are removed here
    restore   RUNNING   wait
              DONE      it has run, and may have changed its disk: PID 1 is `pid` with `identity`, a child of the
                        keeper; `pid` is 0 when it has ended since
              FAILED    kill what is in the container's cgroup; the checkpoint can be restored again
    NONE      nothing was begun, or it was finished and tidied up
"""

import asyncio
import os
from enum import Enum
from functools import partial
from typing import NamedTuple

from hostd.checkpoint import images_dir, log_text
from hostd.checkpoint.aside import begun
from hostd.kernel.process import Process


class Phase(Enum):
    NONE = "none"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Flight(NamedTuple):
    """An action on a checkpoint.  *error* says why it failed."""

    action: str  # "dump", "restore" or ""
    phase: Phase
    error: str = ""
    pid: int = 0
    identity: str = ""


NOTHING = Flight("", Phase.NONE)


def inspect(path: str, disk: str = "") -> Flight:
    """The last action on the checkpoint *path* (`Dump.CTID`).  Finishes the commit of a dump that lacks only
    that, with *disk* as in `images_dir.commit`.
    """
    part = images_dir.part(path)
    if os.path.isdir(part):
        return _dump(path, part, disk)
    if not os.path.isdir(path):
        return NOTHING
    lock = images_dir.lock(path)
    if lock is None:
        return Flight("restore", Phase.RUNNING)
    with lock:
        return _restore(path)


async def settled(path: str, disk: str = "") -> Flight:
    """Like `inspect`, after whatever is in flight has ended: by a thread of its own, as a CRIU may hang for ever."""
    while (found := await asyncio.to_thread(inspect, path, disk)).phase is Phase.RUNNING:
        busy = images_dir.part(path) if found.action == "dump" else path
        await asyncio.wrap_future(begun(partial(_wait, busy), "criu"))
    return found


def _wait(directory: str) -> None:
    try:
        lock = images_dir.lock(directory, wait=True)
    except FileNotFoundError:  # renamed: the dump is complete
        return
    if lock is not None:
        lock.close()


def _dump(path: str, part: str, disk: str) -> Flight:
    lock = images_dir.lock(part)
    if lock is None:
        return Flight("dump", Phase.RUNNING)
    with lock:
        if os.path.exists(f"{part}/{images_dir.DUMPED}") and not os.path.exists(f"{part}/{images_dir.REFUSED}"):
            images_dir.commit(path, disk)
            return Flight("dump", Phase.DONE)
        images_dir.remove(part)
    return Flight("dump", Phase.FAILED, "the dump was interrupted")


def _restore(path: str) -> Flight:
    if images_dir.has_run(path):
        return _found(path)
    if os.path.exists(f"{path}/{images_dir.RESTORE_LOG}"):
        reason = log_text.reason(log_text.read(f"{path}/{images_dir.RESTORE_LOG}"))
        return Flight("restore", Phase.FAILED, reason or "the restore was interrupted")
    return Flight("dump", Phase.DONE) if images_dir.exists(path) else NOTHING


def _found(path: str) -> Flight:
    try:
        pid = int(log_text.read(f"{path}/{images_dir.PID}") or "0")
        return Flight("restore", Phase.DONE, pid=pid, identity=Process.open(pid).identity)
    except (ProcessLookupError, ValueError, OSError) as error:
        return Flight("restore", Phase.DONE, f"PID 1 is gone: {error}")
