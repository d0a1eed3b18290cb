"""Put mounts over files of a running container, from outside, in place of others."""

import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future

from hostd.kernel.facade import check, lib
from hostd.kernel.fd import Fd
from hostd.kernel.mount import is_mounted, move_mount, open_tree, umount
from hostd.kernel.namespace import CLONE_FS, CLONE_NEWNS, unshare


def replace(mnt_ns: Fd, trees: Mapping[str, Fd | None], carried: str = "") -> "Future[None]":
    """Attach each of *trees* at its path in the mount namespace *mnt_ns*, where something is mounted, which goes first.
    None: it goes, and that is all.  What is mounted on the directory *carried* of what goes is there again afterwards,
    or in the place of what goes where nothing comes.

    A thread of its own does it, which nobody need wait for: what the container has mounted on the way may be slow for
    ever.  The paths lead nowhere but into the container.  OSError, the first one, when all that can be done is done.
    """
    outcome: Future[None] = Future()
    threading.Thread(target=_work, args=(outcome, mnt_ns, trees, carried), name="graft", daemon=True).start()
    return outcome


def _work(outcome: "Future[None]", mnt_ns: Fd, trees: Mapping[str, Fd | None], carried: str) -> None:
    try:
        unshare(CLONE_FS, "root and working directory")
        check(lib.vz_setns(mnt_ns.fileno(), CLONE_NEWNS), "setns", mnt_ns.what)
        failed = _exchange(trees, carried)
    except BaseException as error:
        outcome.set_exception(error)
        del outcome  # the exception refers to this frame
    else:
        outcome.set_exception(failed) if failed else outcome.set_result(None)


def _exchange(trees: Mapping[str, Fd | None], carried: str) -> OSError | None:
    """Each by itself: the guest changes its mounts as it likes, and one that goes may take others along."""
    first = None
    with Fd.open("/", os.O_PATH | os.O_DIRECTORY) as root:
        for path, tree in trees.items():
            try:
                below = f"{path}/{carried}"
                kept = open_tree(below, recursive=True) if carried and is_mounted(below) else None
                umount(path, detach=True)
                if tree is not None:
                    move_mount(tree, path.lstrip("/"), dir=root)
                if kept is not None:
                    move_mount(kept, (below if tree is not None else path).lstrip("/"), dir=root)
            except OSError as error:
                first = first or error.with_traceback(None)  # it would keep this frame, and so the trees
    return first
