"""The mounts of a container below its root: made by the host as detached mounts, owned by the container's root.

Device nodes must be made here: the tmpfs belongs to the host's user namespace, so its nodes work inside.
"""

import os
from collections.abc import Mapping
from contextlib import nullcontext
from typing import NamedTuple

from hostd.checkpoint.boot_id import BOOT_ID, FILE, boot_id_tree
from hostd.config.values import PAGE
from hostd.container.devices import Device
from hostd.kernel.boot import random_uuid
from hostd.kernel.fd import Fd
from hostd.kernel.mount import (
    MountAttr,
    Propagation,
    mount_setattr,
    mounts_below,
    new_filesystem,
    open_tree,
)
from hostd.kernel.namespace import userns
from hostd.proc.points import CPU, KERNELS, in_kernels

TTY_GROUP = 5  # group `tty` of Debian and most others

DEVICES = (
    Device("null", 1, 3),
    Device("zero", 1, 5),
    Device("full", 1, 7),
    Device("random", 1, 8),
    Device("urandom", 1, 9),
    Device("tty", 5, 0),
)
DEV_LINKS = (
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
)
DEV_DIRS = (("pts", 0o755), ("shm", 0o1777), ("mqueue", 0o1777))
NESTING_DIRS = ((".lxc", 0), (".lxc/proc", 0o555), (".lxc/sys", 0o555))  # for `spawn.NESTING_MOUNTS`


class Submount(NamedTuple):
    """A detached mount and where below the root it goes; with a *file*, that file of it alone ("": it is a file).

    *kept*: the directory in it where what it covers is from then on.
    """

    mount: Fd
    path: str
    file: str | None = None
    kept: str = ""


def dev(base: int, devices: tuple[Device, ...] = (), *, nesting: bool = False) -> Fd:
    """A fresh /dev for a container whose root is the host's user *base*, with *devices* beside those of all."""
    options = {"source": "dev", "mode": "755", "size": "512k", "nr_inodes": "1024"}
    mount = _tmpfs(base, options, MountAttr.NOSUID | MountAttr.NOEXEC)
    folders = {folder: 0o755 for device in devices for folder in _above(device.name)}
    for name, mode in ({**dict(DEV_DIRS), **folders, **dict(NESTING_DIRS if nesting else ())}).items():
        path = f"{mount.path}/{name}"
        os.mkdir(path)
        os.chmod(path, mode)
        os.chown(path, base, base)
    for device in {one.name: one for one in (*devices, *DEVICES)}.values():
        path = f"{mount.path}/{device.name}"
        os.mknod(path, device.kind | 0o600, device.number)
        os.chmod(path, device.mode)
        os.chown(path, base, base)
    for name, target in DEV_LINKS:
        os.symlink(target, f"{mount.path}/{name}")
        os.lchown(f"{mount.path}/{name}", base, base)
    return mount


def _above(name: str) -> list[str]:
    """The directories above *name*, outermost first."""
    parts = name.split("/")[:-1]
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]


MOST_TERMINALS = 1 << 20  # NR_UNIX98_PTY_MAX: the kernel's own limit of one devpts


def devpts(base: int, most: int | None = None) -> Fd:
    """A devpts instance of the container's own, with at most so many terminals."""
    return new_filesystem(
        "devpts", {"source": "devpts"} | devpts_options(base, most), MountAttr.NOSUID | MountAttr.NOEXEC
    )


def devpts_options(base: int, most: int | None) -> dict[str, str]:
    """All of them: what a remount does not name is reset.  The group is the *host's* id, or CRIU cannot restore it."""
    group = str(base + TTY_GROUP)
    limit = str(MOST_TERMINALS if most is None else min(most, MOST_TERMINALS))
    return {"ptmxmode": "0666", "mode": "0620", "gid": group, "max": limit}


class Scratch(NamedTuple):
    """A tmpfs of a container, and how many percent of its RAM may be in it: at *least* so many bytes, never more than
    half.
    """

    path: str
    mode: str
    percent: int
    least: int = 0

    def size(self, ram: int | None) -> str:
        """For *ram* in bytes; None: of the host's.  Never 0, which would be no limit."""
        if ram is None:
            return f"{self.percent}%"
        return str(max(PAGE, min(max(ram * self.percent // 100, self.least), ram // 2)))


# As systemd mounts them on a machine; which refuses to reload where /run has less than 16 MiB free.
SCRATCH = (Scratch("dev/shm", "1777", 50), Scratch("run", "755", 20, least=32 << 20))


def scratch(base: int, what: Scratch, ram: int | None) -> Fd:
    """Owned by the container's root."""
    options = {"source": "tmpfs", "mode": what.mode, "size": what.size(ram)}
    return _tmpfs(base, options, MountAttr.NOSUID | MountAttr.NODEV)


def _tmpfs(base: int, options: dict[str, str], attributes: MountAttr) -> Fd:
    """Its owner is no option: the kernel would show the host's ids to the container."""
    mount = new_filesystem("tmpfs", options, attributes)
    os.chown(mount.path, base, base)
    return mount


# On the host, a program or device of the container's must not be what its name says: VE_ROOT may be open to others.
AT_VE_ROOT = MountAttr.NOSUID | MountAttr.NODEV


def root(place: str) -> Fd:
    """The tree mounted at *place* (VE_ROOT), as the container gets it.

    What the host mounts there from now on appears inside as well; nothing comes back.
    """
    mount = open_tree(place, propagation=Propagation.SLAVE)
    mount_setattr(mount, clear=AT_VE_ROOT)
    return mount


def runtime(directory: str) -> Fd:
    """The vzinit runtime mounted at *directory*, read-only."""
    mount = open_tree(directory)
    mount_setattr(mount, set=MountAttr.RDONLY)
    return mount


def below_root(
    base: int,
    runtime_dir: str,
    devices: tuple[Device, ...],
    views: Mapping[str, Fd],
    *,
    nesting: bool,
    terminals: int | None,
    ram: int | None,
) -> tuple[Submount, ...]:
    """All mounts that the host makes for a container, in the order in which they are attached.

    *views*: files of the server of /proc files, by their places; and its directories, where the container has such.
    """
    whole, boot_id = views.get("/proc"), BOOT_ID
    if whole is not None:
        boot_id = in_kernels(BOOT_ID)
    return (
        Submount(runtime(runtime_dir), ".vz"),
        Submount(dev(base, devices, nesting=nesting), "dev"),
        Submount(devpts(base, terminals), "dev/pts"),
        *(Submount(scratch(base, one, ram), one.path) for one in SCRATCH),
        *((Submount(whole, "proc"),) if whole is not None else ()),
        Submount(boot_id_tree(random_uuid()), boot_id.lstrip("/"), FILE),
        *(Submount(tree, place.lstrip("/"), "") for place, tree in views.items() if place not in (CPU, "/proc")),
        *((Submount(views[CPU], CPU.lstrip("/"), kept=KERNELS),) if CPU in views else ()),
    )


def made_below(root: str, ids: range | None) -> tuple[Submount, ...]:
    """Copies of the mounts below *root* on the host, with their owners as the container's, where that can be done."""
    top = os.path.realpath(root)
    points = [point for point in reversed(mounts_below(top)) if point != top]
    with userns(ids.start, len(ids)) if ids is not None else nullcontext() as ns:
        return tuple(Submount(_copy(point, ns), os.path.relpath(point, top)) for point in dict.fromkeys(points))


def _copy(path: str, ns: Fd | None) -> Fd:
    """As the root: what the host mounts below it appears inside, and nothing comes back."""
    mount = open_tree(path, propagation=Propagation.SLAVE)
    if ns is not None:
        try:
            mount_setattr(mount, userns=ns)
        except OSError:
            pass  # a file system without mapped owners: its files belong to nobody there
    return mount
