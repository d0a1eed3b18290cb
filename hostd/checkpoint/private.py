"""A mount namespace for one CRIU call, and a look into another network namespace; both for a thread of its own
(`aside`).

A CRIU that is killed leaves mounts behind; in a namespace of its own they vanish with it.  Its /run is a
fresh tmpfs, so that no leftover of another call (a half-written kernel cache) can disturb it.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from hostd.kernel.facade import check, lib
from hostd.kernel.fd import Fd
from hostd.kernel.mount import MountAttr, Propagation, mount_setattr, move_mount, new_filesystem, open_tree
from hostd.kernel.namespace import CLONE_NEWNET, CLONE_NEWNS, namespace, unshare
from hostd.log import log

RUN = "/run"
CACHE_FILE = "criu.kdat"  # what CRIU has found out about this kernel: 50 ms of probing
FLAGS = MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC


@contextmanager
def mounts(paths: Mapping[str, str], trees: Mapping[str, Fd], cache: str) -> Iterator[None]:
    """Have the calling thread stand in a mount namespace of its own, whose `/run` is empty but for binds of *paths*,
    the detached *trees* and CRIU's kernel cache, which the directory *cache* keeps from call to call.

    The thread goes home in the end: a namespace that its last user leaves alive ends at once, but one that is left by
    dying ends in a kernel worker some time later, and holds copies of every container's mounts until then.
    """
    os.makedirs(cache, mode=0o700, exist_ok=True)
    with Fd.open("/proc/thread-self/ns/mnt", os.O_RDONLY) as home, Fd.open(cache, os.O_RDONLY | os.O_DIRECTORY) as kept:
        unshare(CLONE_NEWNS, "mount namespace")
        try:
            _furnish(paths, trees)
            _write(f"{RUN}/{CACHE_FILE}", _read(f"{kept.path}/{CACHE_FILE}"))
            yield
            _keep_cache(kept)
        finally:
            check(lib.vz_setns(home.fileno(), CLONE_NEWNS), "setns", "mount namespace of the host")


def _furnish(paths: Mapping[str, str], trees: Mapping[str, Fd]) -> None:
    with open_tree("/", clone=False) as top:
        mount_setattr(top, propagation=Propagation.PRIVATE, recursive=True)
    binds = {name: open_tree(path) for name, path in paths.items()}  # before /run hides some of them
    move_mount(new_filesystem("tmpfs", {"mode": "711"}, MountAttr.NOSUID | MountAttr.NODEV), RUN)
    for name, tree in {**binds, **trees}.items():
        os.mkdir(f"{RUN}/{name}")
        move_mount(tree, f"{RUN}/{name}")


def unrestrict(name: str) -> None:
    """Take the restricting flags off the bind *name*: CRIU adds what the container had, but cannot take any away."""
    with open_tree(f"{RUN}/{name}", clone=False) as mount:
        mount_setattr(mount, clear=FLAGS)


def _keep_cache(kept: Fd) -> None:
    """Save CRIU's knowledge of the kernel for the next call; rename, because calls run side by side.

    On a full /run the next one has to find it out again.
    """
    found, path = _read(f"{RUN}/{CACHE_FILE}"), f"{kept.path}/{CACHE_FILE}"
    if found and found != _read(path):
        part = f"{path}.{os.getpid()}.{id(kept)}"
        try:
            _write(part, found)
            os.rename(part, path)
        except OSError as error:
            log.warning("%s is not kept: %s", CACHE_FILE, error.strerror)
            with suppress(FileNotFoundError):
                os.unlink(part)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def _write(path: str, data: bytes) -> None:
    if data:
        with open(path, "wb") as file:
            file.write(data)


@contextmanager
def netns_of(pid: int) -> Iterator[None]:
    """Have the calling thread stand in the network namespace of *pid*."""
    with namespace(pid, "net") as netns, Fd.open("/proc/thread-self/ns/net", os.O_RDONLY) as home:
        check(lib.vz_setns(netns.fileno(), CLONE_NEWNET), "setns", f"network of {pid}")
        try:
            yield
        finally:
            check(lib.vz_setns(home.fileno(), CLONE_NEWNET), "setns", "network of the host")
