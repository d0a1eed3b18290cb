"""The cgroup of one container, on v1, hybrid and v2 hosts alike.

A container has one cgroup, `<hierarchy>/<root>/<ctid>`, in every hierarchy that is mounted.  Its processes
sit directly in it: it is the root of their cgroup namespace.  In the unified tree, which is what a container sees as
/sys/fs/cgroup, the directory and the files that move processes are the guest's own (delegation); the files that limit
it stay the host's, so it cannot raise them.  Those of v1 are the host's altogether: there nothing bounds how many
cgroups somebody makes, some controllers do not limit what is below, and others refuse the host less than is set below.

On v2 a cgroup that has processes of its own cannot give controllers to its children.  So a guest that wants
limits inside has to move its processes into sub-cgroups first, as systemd does; the alternative, an extra
level between the limited cgroup and the guest's root, would cost every container a cgroup for what few use.
"""

import errno
import math
import os
from contextlib import suppress

from hostd.cgroup import control, files
from hostd.cgroup.loosen import loosen
from hostd.cgroup.root import CgroupTree
from hostd.errors import Exit, Failure
from hostd.kernel.fd import Fd

__all__ = ["CgroupTree", "CtCgroup"]

# What a delegated cgroup's owner may write: the directory itself and what moves processes.
_OWNED = ("", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control")
_ONCE_OWNED = ("", "/cgroup.procs", "/tasks")  # in hierarchies of v1, by earlier hostds

# How many cgroups it may make below its own, and how deep: each is kernel memory of the host's, one of 65535 memory
# cgroups of the machine, and a step of every walk.  systemd makes some 60, and so does that of each container inside.
_INSIDE = {"cgroup.max.descendants": "4096", "cgroup.max.depth": "64"}


class CtCgroup:
    """The cgroup of container *ctid* in every hierarchy of *tree*.  Holds nothing: the kernel is the
    state.
    """

    __slots__ = ("_unified", "_v1", "ctid", "tree")

    def __init__(self, tree: CgroupTree, ctid: int) -> None:
        self.tree = tree
        self.ctid = ctid
        self._v1 = [f"{root}/{ctid}" for root in tree.v1_roots]
        self._unified = f"{tree.unified_root}/{ctid}" if tree.unified_root else None

    # the directories

    def paths(self) -> list[str]:
        """Its directory in each hierarchy."""
        return [*self._v1, *([self._unified] if self._unified else [])]

    def path(self, controller: str) -> str | None:
        """Its directory where *controller* is; None when containers cannot use that controller here."""
        root = self.tree.root_of(controller)
        return None if root is None else f"{root}/{self.ctid}"

    def exists(self) -> bool:
        """In any hierarchy."""
        return any(map(os.path.isdir, self.paths()))

    def create(self, uid_base: int | None) -> None:
        """Make it, empty, and delegate it to user *uid_base* (None: to nobody).  All hierarchies or none.

        A leftover without processes is replaced.  Raises Failure(RESOURCE) naming the path otherwise.
        """
        made: list[str] = []
        try:
            self.tree.prepare()
            for path in self.paths():
                self._make(path)
                made.append(path)
            self._bound()
            if uid_base is not None:
                self._delegate(uid_base)
        except OSError as error:
            for path in reversed(made):
                os.rmdir(path)
            reason = os.strerror(error.errno or 0)
            raise Failure(Exit.RESOURCE, f"cannot make the cgroup {error.filename}: {reason}") from error

    def _make(self, path: str) -> None:
        try:
            os.mkdir(path)
        except FileExistsError:
            if not control.remove(path, 0):
                raise OSError(errno.EBUSY, "in use", path) from None
            os.mkdir(path)
        except FileNotFoundError:  # somebody removed the root since the last container
            self.tree.prepare(again=True)
            os.mkdir(path)

    def _bound(self) -> None:
        if self._unified:
            for name, most in _INSIDE.items():
                files.write(f"{self._unified}/{name}", most)

    def _delegate(self, owner: int) -> None:
        if self._unified:
            for name in _OWNED:
                os.chown(self._unified + name, owner, owner)

    def take_over(self) -> None:
        """What an earlier hostd has delegated, and this one does not, is the host's again."""
        for path in self._v1:
            for name in _ONCE_OWNED:
                with suppress(FileNotFoundError):
                    os.chown(path + name, 0, 0)
            for directory, below in control.walk(path):
                for name in _ONCE_OWNED:
                    with suppress(FileNotFoundError):
                        os.chown(f"{below}{name}", 0, 0, dir_fd=directory)

    def destroy(self, timeout: float = 10.0) -> None:
        """Remove it with every sub-cgroup that the guest made; idempotent.

        Waits up to *timeout* seconds for processes that are on their way out.  Raises Failure(STOP_ERROR)
        naming the path and the processes when some stay.
        """
        for path in reversed(self.paths()):
            if not control.remove(path, timeout):
                pids = ", ".join(map(str, control.procs(path)[:5]))
                raise Failure(
                    Exit.STOP_ERROR, f"cannot remove the cgroup {path}: processes stay in it: {pids}"
                )

    # entering it

    def joins(self) -> tuple[Fd, ...]:
        """The files to which a cloned, single-threaded child writes "0": `tasks` of each v1 hierarchy.

        `tasks`, because a write to cgroup.procs waits 11 ms for a grace period.  The unified tree is entered
        by `into()`, on hybrid hosts too, for the same reason.
        """
        return tuple(Fd.open(f"{path}/tasks", os.O_WRONLY) for path in self._v1)

    def into(self) -> Fd | None:
        """The directory for CLONE_INTO_CGROUP; None on pure v1."""
        return self.unified()

    def unified(self) -> Fd | None:
        """Its directory in the unified tree, for BPF programs; None on pure v1."""
        return Fd.open(self._unified, os.O_RDONLY | os.O_DIRECTORY) if self._unified else None

    # its processes

    def procs(self, until: float = math.inf) -> list[int]:
        """The pids of all processes in it and in the sub-cgroups that the guest made; as many as are found *until*
        then.
        """
        return control.procs(self.paths()[-1], until)

    def freeze(self, timeout: float = 10.0) -> None:
        """Stop all its processes; returns when all have stopped.  Raises Failure, thawed, after *timeout*
        seconds.
        """
        try:
            if self._unified:
                stopped = control.freeze(self._unified, timeout)
            else:
                stopped = control.freeze_v1(self._freezer(), timeout)
        except BaseException:
            self.thaw()
            raise
        if not stopped:
            self.thaw()
            raise Failure(Exit.SYSTEM, f"CT {self.ctid} did not freeze within {timeout:g} s")

    def thaw(self) -> None:
        """Let them run again; idempotent, also when it is gone."""
        if self._unified:
            control.write_if_there(f"{self._unified}/cgroup.freeze", "0")
        else:
            control.write_if_there(f"{self._freezer()}/freezer.state", "THAWED")

    def frozen(self) -> bool:
        """Have all its processes stopped?"""
        if self._unified:
            return control.frozen(self._unified)
        return control.frozen_v1(self._freezer())

    def kill(self) -> None:
        """SIGKILL to every process, frozen ones and those being forked included, and nothing left that could keep
        them from ending: its limits of time and I/O are gone then.  Does not wait; idempotent.
        """
        if not (self._unified and control.kill(self._unified)):
            self._kill_one_by_one()
        loosen(self.path)

    def _kill_one_by_one(self) -> None:
        """Without cgroup.kill (pure v1): frozen first, so that no fork escapes."""
        freezer = self.path("freezer")
        if freezer is not None and os.path.isdir(freezer):
            control.freeze_v1(freezer, 1.0)
        control.signal_all(self.paths()[-1])

    def _freezer(self) -> str:
        path = self.path("freezer")
        if path is None:
            raise Failure(Exit.BAD_KERNEL, "no cgroup can freeze processes here: mount a cgroup2 tree")
        return path
