"""Deleting whole trees: renamed away at once, deleted by one worker in the background, one tree at a time.

Deleting a Debian tree takes seconds on a disk that discards; nobody waits for it.  A tree that was renamed
but not deleted when the daemon ended is found by `sweep` at its next start.
"""

import glob
import os
import queue
import subprocess
import tempfile
import threading
from collections.abc import Iterable

from hostd.errors import Exit, Failure
from hostd.kernel.mount import mounts_below
from hostd.storage.names import GOLDEN, MAKING, UNFINISHED

PREFIX = "vzctl-rm-me."

_work: "queue.SimpleQueue[str]" = queue.SimpleQueue()
_worker: threading.Thread | None = None
_starting = threading.Lock()


def discard(path: str, trash: str) -> str:
    """Rename *path* into the directory *trash* and have it deleted; answers its new name.

    *path* on another file system than *trash* is renamed beside itself, into `vztmp`.  Raises
    Failure(FS_DEL_PRVT) when something is mounted below *path*, OSError.
    """
    mounted = mounts_below(path)
    if mounted:
        raise Failure(Exit.FS_DEL_PRVT, f"cannot remove {path}: {mounted[0]} is mounted; umount it first")
    target = _empty_directory(path, trash)
    try:
        os.rename(path, target)  # replaces an empty directory
    except OSError:
        os.rmdir(target)
        raise
    delete_later(target)
    return target


def sweep(*directories: str) -> None:
    """Have everything deleted that an earlier daemon left in *directories*."""
    for directory in directories:
        for path in sorted(glob.glob(os.path.join(glob.escape(directory), PREFIX + "*"))):
            delete_later(path)


def sweep_unfinished(template_dir: str, private_dirs: Iterable[str], trash: str) -> list[str]:
    """Discard what a create that was cut off has left: half-made areas and images; answers the paths.

    To be called when no create is running.
    """
    patterns = [os.path.join(glob.escape(directory), "*" + UNFINISHED) for directory in private_dirs]
    patterns.append(os.path.join(glob.escape(template_dir), GOLDEN, MAKING + "*"))
    found = [path for pattern in patterns for path in sorted(glob.glob(pattern)) if os.path.isdir(path)]
    for path in found:
        discard(path, trash)
    return found


def delete_later(path: str) -> None:
    """Queue *path* for the worker."""
    global _worker
    with _starting:
        if _worker is None:
            _worker = threading.Thread(target=_delete_forever, name="trash", daemon=True)
            _worker.start()
    _work.put(path)


def _empty_directory(path: str, trash: str) -> str:
    """A new directory in *trash*, or in `vztmp` beside *path* when *trash* is on another file system."""
    parent = os.path.dirname(os.path.abspath(path))
    if not _same_file_system(parent, trash):
        trash = os.path.join(parent, "vztmp")
        os.makedirs(trash, mode=0o700, exist_ok=True)
    return tempfile.mkdtemp(prefix=PREFIX, dir=trash)


def _same_file_system(parent: str, trash: str) -> bool:
    os.makedirs(trash, mode=0o700, exist_ok=True)
    return os.stat(parent).st_dev == os.stat(trash).st_dev


def _delete_forever() -> None:
    while True:
        subprocess.run(["rm", "-rf", "--one-file-system", _work.get()], stderr=subprocess.DEVNULL)
