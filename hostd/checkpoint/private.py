"""A mount namespace for one CRIU call, and children of the helper that stand in another namespace.

A CRIU that is killed leaves mounts behind; in a namespace of its own they vanish with it.  Its /run is a
fresh tmpfs, so that no leftover of another call (a half-written kernel cache) can disturb it.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping

from hostd.kernel.facade import check, lib
from hostd.kernel.fd import Fd
from hostd.kernel.mount import MountAttr, Propagation, mount_setattr, move_mount, new_filesystem, open_tree
from hostd.kernel.namespace import CLONE_NEWCGROUP, CLONE_NEWNET, CLONE_NEWNS, namespace

RUN = "/run"
CACHE_FILE = "criu.kdat"  # what CRIU has found out about this kernel: 50 ms of probing


def enter(paths: Mapping[str, str], trees: Mapping[str, Fd], cache: str) -> Fd:
    """Leave the host's mount namespace; `/run` becomes empty but for binds of *paths* and the detached
    *trees*.

    Answers a descriptor of the directory *cache*, which /run may hide from now on.
    """
    os.makedirs(cache, mode=0o700, exist_ok=True)
    kept = Fd.open(cache, os.O_RDONLY | os.O_DIRECTORY)
    check(lib.vz_unshare(CLONE_NEWNS), "unshare", "mount namespace")
    with open_tree("/", clone=False) as top:
        mount_setattr(top, propagation=Propagation.PRIVATE, recursive=True)
    binds = {name: open_tree(path) for name, path in paths.items()}  # before /run hides some of them
    move_mount(new_filesystem("tmpfs", {"mode": "711"}, MountAttr.NOSUID | MountAttr.NODEV), RUN)
    for name, tree in {**binds, **trees}.items():
        os.mkdir(f"{RUN}/{name}")
        move_mount(tree, f"{RUN}/{name}")
    _copy(f"{kept.path}/{CACHE_FILE}", f"{RUN}/{CACHE_FILE}")
    return kept


def keep_cache(kept: Fd) -> None:
    """Save CRIU's knowledge of the kernel for the next call; rename, because calls run side by side."""
    part = f"{kept.path}/{CACHE_FILE}.{os.getpid()}"
    if _copy(f"{RUN}/{CACHE_FILE}", part):
        os.rename(part, f"{kept.path}/{CACHE_FILE}")


def _copy(source: str, target: str) -> bool:
    try:
        shutil.copyfile(source, target)
        return True
    except FileNotFoundError:
        return False


def join(files: list[int]) -> None:
    """Enter the cgroups whose `tasks` or `cgroup.procs` are open as *files*."""
    for number in files:
        os.write(number, b"0")


def mount_cgroup(files: list[int]) -> None:
    """Mount at /run/cgroup the cgroup2 tree as seen from the cgroups of *files*.

        A mount's root is the cgroup namespace of the process that makes it: a child joins, takes a namespace
    of its own, mounts and ends.  No restricting flags: CRIU adds what the container had, but could not take
    any away.
    """
    os.mkdir(f"{RUN}/cgroup")

    def mount() -> None:
        join(files)
        check(lib.vz_unshare(CLONE_NEWCGROUP), "unshare", "cgroup namespace")
        move_mount(new_filesystem("cgroup2", {}), f"{RUN}/cgroup")

    in_child(mount)


def in_netns(pid: int, work: Callable[[], object]) -> object:
    """What *work* answers in the network namespace of *pid*; anything JSON can carry."""

    def inside() -> object:
        with namespace(pid, "net") as netns:
            check(lib.vz_setns(netns.fileno(), CLONE_NEWNET), "setns", f"network of {pid}")
        return work()

    return in_child(inside)


def in_child(work: Callable[[], object]) -> object:
    """Run *work* in a forked child of this single-threaded process; its OSError is raised here."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        _tell(theirs, work)
    os.close(theirs)
    with open(ours, "rb") as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    if not text:
        raise OSError(0, "a helper child ended without an answer")
    said: dict[str, object] = json.loads(text)
    if "error" in said:
        raise OSError(0, str(said["error"]))
    return said["value"]


def _tell(pipe: int, work: Callable[[], object]) -> None:
    """Send the outcome and end the child, whatever happens."""
    try:
        try:
            said: dict[str, object] = {"value": work()}
        except Exception as error:
            said = {"error": str(error)}
        with open(pipe, "wb") as answer:
            answer.write(json.dumps(said).encode())
    finally:
        os._exit(0)
