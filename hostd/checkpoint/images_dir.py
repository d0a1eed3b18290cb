"""The directory of a checkpoint: complete or absent, durable, and removed without ever following a mount.

    Dump.CTID       a checkpoint
    Dump.CTID.part  a dump in flight; the rename is what makes it a checkpoint
    Dump.CTID.old   the one before, until the new one is durable
    Dump.CTID.gone  one that is used, or not wanted any more: being removed

Beside CRIU's own files it holds:

    vzhost.json   what a restore must know (`saved.Saved`)
    busy          flock(2)ed by whoever works here: as long as that holds, something is in flight
    stats-dump    the dump has succeeded, unless there is
    refused       what is in the images could not be loaded again, and the tasks go on
    restore.log   a restore has begun; stats-restore: it has succeeded; pid: the number of PID 1
"""

import fcntl
import os
import stat
from concurrent.futures import ThreadPoolExecutor

from hostd.config import files
from hostd.errors import Exit, Failure
from hostd.kernel.fd import Fd
from hostd.kernel.mount import mounts_below, syncfs
from hostd.log import log

SAVED = "vzhost.json"
BUSY = "busy"
# CRIU writes its statistics last, when it has succeeded: tasks gone (dump), tasks resumed (restore).
DUMPED, RESTORED = "stats-dump", "stats-restore"
REFUSED = "refused"
RESTORE_LOG, PID = "restore.log", "pid"
SYNCING = 8  # files at a time: a disk flushes several together


def part(path: str) -> str:
    """Where the dump that will become *path* is made."""
    return f"{path}.part"


def older(path: str) -> str:
    """Where the one before is, until the new one is durable."""
    return f"{path}.old"


def gone(path: str) -> str:
    """Where *path* is while it is removed."""
    return f"{path}.gone"


def create(path: str, group: int) -> None:
    """An empty `part(path)`; leftovers of a dump that did not finish are removed.

    Nobody else may look inside.  But a task that is being restored looks images up here too: first as the
    host's root in the user namespace, so without privilege, then as the container's root, *group*.
    """
    remove(part(path))
    os.makedirs(part(path), mode=0o700)
    os.chown(part(path), 0, group)
    os.chmod(part(path), 0o710)


def commit(path: str, disk: str = "") -> None:
    """Make `part(path)` durable and call it *path*; an older checkpoint of that name goes away.

    *disk*: where the container's file system is mounted.  It is made durable first: memory that believes it has
    written what a loss of power takes back must not be restored.

    Raises OSError when the disk does not take it.  It is called *path* all the same, and the older one stays beside
    it as `.old`: the container is gone, so this is all there is of it.
    """
    images = [f"{part(path)}/{name}" for name in os.listdir(part(path))]
    try:
        if disk:
            syncfs(disk)
        with ThreadPoolExecutor(SYNCING) as pool:
            list(pool.map(files.sync, (image for image in images if not os.path.islink(image))))
        files.sync(part(path))
    finally:
        remove(older(path))
        if os.path.lexists(path):
            os.rename(path, older(path))
        os.rename(part(path), path)
    files.sync(os.path.dirname(path))
    remove(older(path))


def may_become(path: str) -> None:
    """Raises Failure(16) where making the checkpoint *path* would remove what is none."""
    for place, ours in ((path, SAVED), (part(path), BUSY), (older(path), SAVED)):
        if os.path.isfile(place) or not os.path.lexists(place):
            continue
        if os.path.ismount(place) or not os.path.isdir(place) or os.path.islink(place):
            raise Failure(Exit.CHKPNT, f"Checkpointing failed: {place} is in the way; name one that is not there")
        if os.listdir(place) and not os.path.exists(f"{place}/{ours}"):
            why = f"{place} is a directory with other things in it; name one that is not there"
            raise Failure(Exit.CHKPNT, f"Checkpointing failed: {why}")


def hold(path: str) -> Fd:
    """The lock of the checkpoint *path*, of which a restore begins.  Failure(17) when another one is at work there."""
    held = lock(path)
    if held is None:
        raise Failure(Exit.RESTORE, f"Restoring failed: {path} is in use by another restore")
    return held


def has_run(path: str) -> bool:
    """The container has come back from the checkpoint *path*, and its disk may have changed since."""
    return os.path.exists(f"{path}/{RESTORED}")


def discard(path: str) -> None:
    """The checkpoint *path* is none any more, at once and durably; then remove it.  Raises as `remove`, and OSError."""
    _unmounted(path)
    remove(gone(path))
    os.rename(path, gone(path))
    files.sync(os.path.dirname(path))
    bury(path)


def bury(path: str) -> None:
    """Remove what `discard` has left of *path*, if it can be."""
    try:
        remove(gone(path))
    except OSError as error:  # the next daemon removes it
        log.warning("%s stays for now: %s", gone(path), error)


def leftovers(directory: str) -> list[str]:
    """What crashes have left in *directory* of which there is no use, and nobody works there."""
    found = [f"{directory}/{name}" for name in os.listdir(directory) if name.startswith("Dump.")]
    return [path for path in found if _left_over(path)]


def _left_over(path: str) -> bool:
    whole, _, state = path.rpartition(".")
    if state in ("gone", "old"):
        return state == "gone" or exists(whole)
    return (state == "part" or has_run(path)) and not _busy(path)


def _busy(path: str) -> bool:
    held = lock(path) if os.path.isdir(path) else None
    if held is None:
        return True
    held.close()
    return False


def exists(path: str) -> bool:
    """True when there is a complete checkpoint at *path*."""
    return os.path.exists(f"{path}/{SAVED}")


def restorable(path: str) -> bool:
    """There is one, and the disk that goes with it has not gone on: a loss of power may have kept it all the same."""
    return exists(path) and not has_run(path)


def lock(directory: str, *, wait: bool = False) -> Fd | None:
    """The lock of *directory*, or None when somebody works there.  It is held until the last copy is closed.
    """
    fd = Fd.open(f"{directory}/{BUSY}", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd.fileno(), fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        fd.close()
        return None
    return fd


def remove(path: str) -> None:
    """Remove a checkpoint or what is left of one.  Raises Failure when something is mounted there or below.

        A CRIU that was killed may have left the host's cgroups mounted inside: a careless removal would take
    them along.
    """
    if not os.path.lexists(path):
        return
    _unmounted(path)
    with Fd.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY | os.O_DIRECTORY) as parent:
        _remove(os.path.basename(path), parent, os.lstat(path).st_dev)


def remove_all(path: str) -> None:
    """Remove the checkpoint *path*, and whatever a crash has left beside it.  As `remove`."""
    for name in (path, part(path), older(path), gone(path)):
        remove(name)


def _unmounted(path: str) -> None:
    if mounted := mounts_below(path):
        raise Failure(Exit.SYSTEM, f"{path} stays: {mounted[0]} is mounted there; unmount it first")


def forget_restore(path: str) -> None:
    """Remove what an earlier restore has left, as if none had been tried."""
    for name in (RESTORED, PID, RESTORE_LOG):
        try:
            os.unlink(f"{path}/{name}")
        except FileNotFoundError:
            pass


def _remove(name: str, parent: Fd, device: int) -> None:
    """Remove *name* in *parent*, never leaving the file system *device*."""
    status = os.lstat(name, dir_fd=parent.fileno())
    if status.st_dev != device:
        raise Failure(Exit.SYSTEM, f"{parent.what}/{name} is on another file system; unmount it first")
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=parent.fileno())
        return
    with Fd.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir=parent) as here:
        for inner in os.listdir(here.fileno()):
            _remove(inner, here, device)
    os.rmdir(name, dir_fd=parent.fileno())
