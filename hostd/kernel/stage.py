"""Stage: a thread in a mount namespace with next to nothing in it, for `spawn()` to clone from.

A clone with a new mount namespace copies every mount of the caller's: 4-5 ms at 2000 mounts, 0.5 ms from
here. The stage keeps a fresh, wholly visible /proc and /sys, without which the kernel refuses them in a user
namespace.
"""

import os
import queue
import stat
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from hostd.kernel.facade import check, lib
from hostd.kernel.fd import Fd
from hostd.kernel.mount import (
    MountAttr,
    Propagation,
    mount_setattr,
    move_mount,
    new_filesystem,
    open_tree,
    umount,
)
from hostd.kernel.namespace import CLONE_FS, CLONE_NEWNS, unshare
from hostd.kernel.process import Process
from hostd.kernel.spawn import SpawnPlan, spawn

LOCKED_DOWN = MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC

T = TypeVar("T")
Job = Callable[[], None]


class Stage:
    """The thread.  Functions given to `submit()` run one after the other, in the staging mount namespace.

    They see no file of the host (prepare descriptors before) and must not import anything.  `close()` ends
    the thread and its namespace.
    """

    def __init__(self) -> None:
        """OSError when the namespace cannot be made."""
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="stage", daemon=True)
        self._thread.start()
        ready.result()

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Run *function* on the stage; the Future holds its answer or exception."""
        future: Future[T] = Future()
        self._jobs.put(lambda: _run_into(future, function))
        return future

    def spawn(self, plan: SpawnPlan) -> Future[Process]:
        return self.submit(lambda: spawn(plan))

    def close(self) -> None:
        """Let the work given so far end, then the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self, ready: Future[None]) -> None:
        _run_into(ready, _enter)
        while (job := self._jobs.get()) is not None:
            job()
            del job  # waiting with the last plan in hand would keep its descriptors open


def _run_into(future: Future[T], function: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(function())
    except BaseException as error:
        future.set_exception(error)
        del future  # the exception refers to this frame: without the cycle its descriptors are closed with it


def _enter() -> None:
    """Take this thread alone (own root and working directory first) into a minimal mount namespace."""
    unshare(CLONE_FS, "fs")
    unshare(CLONE_NEWNS, "mnt")
    with open_tree("/", clone=False) as root:
        mount_setattr(root, propagation=Propagation.PRIVATE, recursive=True)
    with new_filesystem("tmpfs", {"mode": "755", "size": "64k"}, MountAttr.NOSUID | MountAttr.NOEXEC) as root:
        move_mount(root, "/")
        os.fchdir(root.fileno())
        _furnish(root)
    check(lib.vz_pivot_root(b".", b"."), "pivot_root", "stage")
    umount(".", detach=True, nofollow=False)
    os.chdir("/")


def _furnish(root: Fd) -> None:
    for name, fstype in (("proc", "proc"), ("sys", "sysfs")):
        os.mkdir(name, 0o755, dir_fd=root.fileno())
        with new_filesystem(fstype, {}, LOCKED_DOWN) as mnt:
            move_mount(mnt, name, dir=root)
    os.mkdir("dev", 0o755, dir_fd=root.fileno())
    os.mknod("dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 3), dir_fd=root.fileno())
