"""The machine's cgroup hierarchies and the one directory in each that holds all containers."""

import errno
import os
from collections.abc import Callable

from hostd.cgroup import files, share
from hostd.cgroup.hierarchies import Hierarchy, Mode, mode, mounted
from hostd.cgroup.share import Share
from hostd.errors import Exit, Failure

# What containers need of v2, to be switched on for our subtree.
_WANTED = ("cpu", "cpuset", "io", "memory", "pids")


def _default() -> int:
    return share.UNITS


class CgroupTree:
    """The machine's hierarchies and our directory, *root_name*, in each; *host_units*: VE0CPUUNITS."""

    def __init__(
        self, root_name: str, hierarchies: tuple[Hierarchy, ...], host_units: Callable[[], int] = _default
    ) -> None:
        self.root_name = root_name
        self.mode: Mode = mode(hierarchies)
        self.v1 = tuple(h for h in hierarchies if not h.unified)
        self.unified = next((h for h in hierarchies if h.unified), None)
        self.v1_roots = [f"{h.path}/{root_name}" for h in self.v1]
        self.unified_root = f"{self.unified.path}/{root_name}" if self.unified else None
        self.roots = [*self.v1_roots, *([self.unified_root] if self.unified_root else [])]
        self._v1_at = {c: f"{h.path}/{root_name}" for h in self.v1 for c in h.controllers}  # controller -> directory
        self._enabled: set[str] = set()  # controllers of v2 that were seen at work in our directory
        self._ready = False
        self.share = Share(lambda: self.root_of("cpu"), share.V2 if self.mode == "v2" else share.V1, host_units)

    @classmethod
    def detect(
        cls, root_name: str, mountinfo: str = "/proc/self/mountinfo", *, host_units: Callable[[], int] = _default
    ) -> "CgroupTree":
        """What is mounted.  Raises Failure(BAD_KERNEL) when nothing is."""
        hierarchies = mounted(mountinfo)
        if not hierarchies:
            raise Failure(
                Exit.BAD_KERNEL,
                "no cgroup hierarchy is mounted: containers cannot be limited",
                hint="mount -t cgroup2 none /sys/fs/cgroup",
            )
        return cls(root_name, hierarchies, host_units)

    def prepare(self, *, again: bool = False) -> None:
        """Make our directory in every hierarchy, so that containers can be made below it; idempotent."""
        if self._ready and not again:
            return
        for root in self.roots:
            try:
                os.mkdir(root)
            except FileExistsError:
                pass
        if "cpuset" in self._v1_at:
            self._fill_cpuset(self._v1_at["cpuset"])
        if self.mode == "v2" and self.unified:
            self._enable_controllers(self.unified.path)
        self._ready = True

    def ctids(self) -> list[int]:
        """The containers that have a cgroup in any hierarchy."""
        names: set[str] = set()
        for root in self.roots:
            try:
                names.update(os.listdir(root))
            except FileNotFoundError:
                continue
        return sorted(int(name) for name in names if name.isdecimal())

    def remove(self) -> None:
        """Remove our directories where no container has a cgroup any more; the keeper's own leaf keeps one."""
        for root in self.roots:
            try:
                os.rmdir(root)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.EBUSY, errno.ENOTEMPTY):
                    raise
        self._ready = False

    def root_of(self, controller: str) -> str | None:
        """Our directory in the hierarchy that has *controller*; None when none has it for our containers."""
        if controller in self._v1_at:
            return self._v1_at[controller]
        root = self.unified_root
        if self.mode != "v2" or root is None:
            return None
        if controller not in self._enabled:
            if controller not in (files.read_optional(f"{root}/cgroup.subtree_control") or "").split():
                return None
            self._enabled.add(controller)
        return root

    def _fill_cpuset(self, root: str) -> None:
        """A v1 cpuset starts empty and takes no process so; with clone_children what is made below starts
        full.
        """
        files.write(f"{root}/cgroup.clone_children", "1")
        parent = os.path.dirname(root)
        for name in ("cpuset.cpus", "cpuset.mems"):
            if not files.read(f"{root}/{name}"):
                files.write(f"{root}/{name}", files.read(f"{parent}/{name}"))

    def _enable_controllers(self, top: str) -> None:
        """One by one and best effort: a limit that needs a missing one says so when it is asked for."""
        for directory in (top, self.unified_root):
            for controller in _WANTED:
                try:
                    files.write(f"{directory}/cgroup.subtree_control", f"+{controller}")
                except OSError:
                    continue
