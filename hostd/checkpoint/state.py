"""After a crash of the daemon: is a dump or restore still in flight, and how did it end?

The helper goes on without the daemon.  It and CRIU hold the lock of the images, so "in flight" is a fact of
the kernel and not of a recorded pid.  What `inspect` finds:

    dump      RUNNING   wait (`settled`)
              DONE      `Dump.CTID` is complete, the container is gone
              FAILED    the container runs on; the leftovers are removed here
    restore   RUNNING   wait
              DONE      PID 1 is `pid` with `identity`, a child of the keeper
              FAILED    kill what is in the container's cgroup; the checkpoint can be restored again
    NONE      nothing was begun, or it was finished and tidied up
"""

import asyncio
import os
from dataclasses import dataclass
from enum import Enum

from hostd.checkpoint import images_dir, log_text
from hostd.checkpoint.images_dir import Result
from hostd.kernel.process import Process

# CRIU writes its statistics last, when it has succeeded: tasks gone (dump), tasks resumed (restore).
DUMPED, RESTORED = "stats-dump", "stats-restore"


class Phase(Enum):
    NONE = "none"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Flight:
    """An action on a checkpoint.  *error* says why it failed."""

    action: str  # "dump", "restore" or ""
    phase: Phase
    error: str = ""
    pid: int = 0
    identity: str = ""

    def result(self) -> Result:
        """The same as the helper would have left it."""
        return Result(self.action, self.phase is Phase.DONE, self.error, self.pid, self.identity)


NOTHING = Flight("", Phase.NONE)


def inspect(path: str) -> Flight:
    """The last action on the checkpoint *path* (`Dump.CTID`).  Finishes the commit of a dump that lacks only
    that.
    """
    part = images_dir.part(path)
    if os.path.isdir(part):
        return _dump(path, part)
    if not os.path.isdir(path):
        return NOTHING
    lock = images_dir.lock(path)
    if lock is None:
        return Flight("restore", Phase.RUNNING)
    with lock:
        return _restore(path)


async def settled(path: str) -> Flight:
    """Like `inspect`, after whatever is in flight has ended."""
    while (found := inspect(path)).phase is Phase.RUNNING:
        await asyncio.to_thread(_wait, images_dir.part(path) if found.action == "dump" else path)
    return found


def _wait(directory: str) -> None:
    try:
        lock = images_dir.lock(directory, wait=True)
    except FileNotFoundError:  # renamed: the dump is complete
        return
    if lock is not None:
        lock.close()


def _dump(path: str, part: str) -> Flight:
    lock = images_dir.lock(part)
    if lock is None:
        return Flight("dump", Phase.RUNNING)
    with lock:
        result = images_dir.read_result(part)
        dumped = os.path.exists(f"{part}/{DUMPED}")
        if (result and result.ok) or (result is None and dumped):
            images_dir.commit(path)
            return Flight("dump", Phase.DONE)
        images_dir.remove(part)
    return Flight("dump", Phase.FAILED, result.error if result else "the dump was interrupted")


def _restore(path: str) -> Flight:
    result = images_dir.read_result(path)
    if result and result.action == "dump":
        return Flight("dump", Phase.DONE) if result.ok else NOTHING
    if result:
        phase = Phase.DONE if result.ok else Phase.FAILED
        return Flight("restore", phase, result.error, result.pid, result.identity)
    if os.path.exists(f"{path}/{RESTORED}"):  # only the helper was killed
        return _found(path)
    return Flight("restore", Phase.FAILED, "the restore was interrupted")


def _found(path: str) -> Flight:
    try:
        pid = int(log_text.read(f"{path}/pid") or "0")
        return Flight("restore", Phase.DONE, pid=pid, identity=Process.open(pid).identity)
    except (ProcessLookupError, ValueError, OSError) as error:
        return Flight("restore", Phase.FAILED, f"PID 1 is gone: {error}")
