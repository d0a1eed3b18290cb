"""Deleting whole trees: renamed away at once, deleted by one worker in the background, one tree at a time.

Deleting a Debian tree takes seconds on a disk that discards; nobody waits for it.  A tree that was renamed
but not deleted when the daemon ended is found by `sweep` at its next start.
"""

import errno
import glob
import os
import queue
import secrets
import subprocess
import threading

from hostd.errors import Exit, Failure
from hostd.kernel.mount import mounts_below
from hostd.log import log
from hostd.storage.names import GOLDEN, MAKING

PREFIX = "vzctl-rm-me."
BESIDE = "vztmp"  # where what is on another disk is renamed to

_work: "queue.SimpleQueue[str]" = queue.SimpleQueue()
_worker: threading.Thread | None = None
_starting = threading.Lock()


def discard(path: str, trash: str) -> str:
    """Rename *path* into the directory *trash* and have it deleted; answers its new name.

    From another file system, or another mount of the same, it is renamed beside itself, into `vztmp`, and *trash* has
    a link to it.  Raises Failure(FS_DEL_PRVT) when something is mounted below *path*, OSError.
    """
    mounted = mounts_below(path)
    if mounted:
        raise Failure(Exit.FS_DEL_PRVT, f"cannot remove {path}: {mounted[0]} is mounted; umount it first")
    try:
        target = note = _renamed(path, _place(trash))
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = _place(os.path.join(os.path.dirname(os.path.abspath(path)), BESIDE))
        note = os.path.join(trash, os.path.basename(beside))
        os.symlink(beside, note)
        target = _renamed(path, beside)
    delete_later(note)
    return target


def sweep(*directories: str) -> None:
    """Have everything deleted that an earlier daemon left in *directories*."""
    for directory in directories:
        for path in sorted(glob.glob(os.path.join(glob.escape(directory), PREFIX + "*"))):
            delete_later(path)


def sweep_unfinished(template_dir: str, trash: str) -> list[str]:
    """Discard the images that were being formatted when their daemon ended; answers the paths.

    To be called when no create is running.
    """
    found = sorted(glob.glob(os.path.join(glob.escape(template_dir), GOLDEN, MAKING + "*")))
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


def _place(trash: str) -> str:
    """A new name in *trash*.  Nothing is made there: on a full disk there is room for a name, but for no directory."""
    os.makedirs(trash, mode=0o700, exist_ok=True)
    return os.path.join(trash, PREFIX + secrets.token_hex(8))


def _renamed(path: str, place: str) -> str:
    """By its slash the kernel takes a directory only: a link in the trash is one of ours, and followed."""
    os.rename(path, f"{place}/")
    return place


def _delete_forever() -> None:
    while True:
        path = _work.get()
        try:
            _delete(path)
        except OSError as error:
            log.warning("%s is not deleted: %s", path, error)


def _delete(path: str) -> None:
    """A tree, or what a link of ours leads to; the link stays while the disk is not mounted that it leads to."""
    if not os.path.islink(path):
        _remove(path)
        return
    target = os.readlink(path)
    if os.path.isdir(os.path.dirname(target)):
        _remove(target)
        if not os.path.lexists(target):
            os.unlink(path)


def _remove(tree: str) -> None:
    subprocess.run(["rm", "-rf", "--one-file-system", tree], stderr=subprocess.DEVNULL)
