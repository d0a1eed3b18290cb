"""The mount API of Linux 5.2 and later: file systems and trees as descriptors, attached by one move.

A detached mount (from `open_tree(clone=True)`, `fsmount`, `new_filesystem`) belongs to nobody's namespace and
is gone when its last descriptor is closed.  Before Linux 6.15 it can be moved into a namespace, but neither
cloned nor mounted upon while detached (`Features.detached_trees`): clone from an attached mount, attach in
the child.
"""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum, IntFlag

from hostd.kernel.facade import NULL, check, lib, path_bytes
from hostd.kernel.fd import Fd

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 0x04
MOVE_MOUNT_T_EMPTY_PATH = 0x40
MOUNT_ATTR_IDMAP = 0x100000
RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_IN_ROOT = 0x10
UMOUNT_NOFOLLOW = 8
MNT_DETACH = 2
DEVPTS, TMPFS = 0x1CD1, 0x01021994  # of linux/magic.h
LOG_LINE = 4096  # bytes; longest message the kernel keeps for a file system context


class MountAttr(IntFlag):
    """MOUNT_ATTR_* of linux/mount.h."""

    NONE = 0
    RDONLY = 0x01
    NOSUID = 0x02
    NODEV = 0x04
    NOEXEC = 0x08


class Propagation(IntFlag):
    """MS_* propagation types, for `mount_setattr`."""

    NONE = 0
    PRIVATE = 1 << 18
    SLAVE = 1 << 19
    SHARED = 1 << 20


class Config(IntEnum):
    """FSCONFIG_* commands."""

    FLAG = 0
    STRING = 1
    FD = 5
    CREATE = 6
    RECONFIGURE = 7


def _subject(dir: Fd | None, path: str) -> str:
    if dir is None:
        return path
    where = dir.what or "descriptor"
    return f"{where}/{path}" if path else where


# ---- one system call each


def open_tree(
    path: str, *, clone: bool = True, recursive: bool = False, propagation: Propagation = Propagation.PRIVATE
) -> Fd:
    """open_tree(2): a detached copy of the mount at *path* (or, not *clone*, a handle of the mount itself),
    *recursive* with all that is mounted below it.

    A copy of host mounts must be made in the daemon's own mount namespace: a thread in a staging namespace
    cannot copy them.  The copy is private (or what *propagation* says), as mounts of a host with a shared "/" are
    not: pivot_root(2) refuses those, and what is mounted on one copy would show on all others.
    """
    flags = os.O_CLOEXEC | (OPEN_TREE_CLONE if clone else 0) | (AT_RECURSIVE if recursive else 0)
    tree = Fd(check(lib.vz_open_tree(AT_FDCWD, path_bytes(path), flags), "open_tree", path), path)
    if clone:
        mount_setattr(tree, propagation=propagation, recursive=recursive)
    return tree


def fsopen(fstype: str) -> Fd:
    """fsopen(2): a new file system context."""
    return Fd(check(lib.vz_fsopen(path_bytes(fstype)), "fsopen", fstype), fstype)


def fsconfig_string(fs: Fd, key: str, value: str) -> None:
    _configured(fs, lib.vz_fsconfig(fs.fileno(), Config.STRING, path_bytes(key), path_bytes(value), 0), key)


def fsconfig_flag(fs: Fd, key: str) -> None:
    _configured(fs, lib.vz_fsconfig(fs.fileno(), Config.FLAG, path_bytes(key), NULL, 0), key)


def fsconfig_fd(fs: Fd, key: str, value: Fd) -> None:
    _configured(fs, lib.vz_fsconfig(fs.fileno(), Config.FD, path_bytes(key), NULL, value.fileno()), key)


def fsconfig_create(fs: Fd) -> None:
    _configured(fs, lib.vz_fsconfig(fs.fileno(), Config.CREATE, NULL, NULL, 0), "create")


def fsmount(fs: Fd, attrs: MountAttr = MountAttr.NONE) -> Fd:
    """fsmount(2): a detached mount of a created context; works once per context."""
    result = lib.vz_fsmount(fs.fileno(), attrs)
    _configured(fs, result, "fsmount")
    return Fd(result, fs.what)


def mount_setattr(
    mnt: Fd,
    *,
    set: MountAttr = MountAttr.NONE,
    clear: MountAttr = MountAttr.NONE,
    propagation: Propagation = Propagation.NONE,
    userns: Fd | None = None,
    recursive: bool = False,
) -> None:
    """mount_setattr(2) on the mount itself.  *userns* maps its ids (idmapped mount; only while detached)."""
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    bits = set | (MOUNT_ATTR_IDMAP if userns is not None else 0)
    ns = userns.fileno() if userns is not None else -1
    check(lib.vz_mount_setattr(mnt.fileno(), flags, bits, clear, propagation, ns), "mount_setattr", mnt.what)


def move_mount(mnt: Fd, path: str, *, dir: Fd | None = None) -> None:
    """move_mount(2): attach *mnt* at *path*, or onto *dir* itself when *path* is "".

    Below *dir* no symbolic link is followed (ELOOP) and ".." cannot leave: *dir* may be a hostile tree.
    """
    subject = _subject(dir, path)
    if dir is None:
        result = lib.vz_move_mount(mnt.fileno(), b"", AT_FDCWD, path_bytes(path), MOVE_MOUNT_F_EMPTY_PATH)
        check(result, "move_mount", subject)
        return
    target = openat2(dir, path, os.O_PATH) if path else dir.dup()
    with target:
        flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
        check(lib.vz_move_mount(mnt.fileno(), b"", target.fileno(), b"", flags), "move_mount", subject)


def umount(path: str, *, detach: bool = False, nofollow: bool = True) -> None:
    """umount2(2).  *detach*: lazily, with everything below."""
    flags = (MNT_DETACH if detach else 0) | (UMOUNT_NOFOLLOW if nofollow else 0)
    check(lib.vz_umount(path_bytes(path), flags), "umount2", path)


def syncfs(root: str) -> None:
    """syncfs(2): write what is changed in the file system of the directory *root* to its disk, and wait for it."""
    with Fd.open(root, os.O_RDONLY | os.O_DIRECTORY) as top:
        check(lib.vz_syncfs(top.fileno()), "syncfs", root)


def openat2(dir: Fd, path: str, flags: int, *, one_mount: bool = False) -> Fd:
    """openat2(2) with O_CLOEXEC: *path* below *dir*, which is "/" for it; a link on the way is ELOOP.

    *one_mount*: what is mounted on the way is EXDEV.
    """
    subject = _subject(dir, path)
    resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | (RESOLVE_NO_XDEV if one_mount else 0)
    result = lib.vz_openat2(dir.fileno(), path_bytes(path), flags | os.O_CLOEXEC, 0, resolve)
    return Fd(check(result, "openat2", subject), subject)


# ---- made of them


def new_filesystem(
    fstype: str, options: Mapping[str, str | Fd | None], attrs: MountAttr = MountAttr.NONE
) -> Fd:
    """A detached mount of a new *fstype*; an option is text, a descriptor, or None for a flag, set in order.

    The kernel's own explanation, where it gives one, is part of the OSError.
    """
    with fsopen(fstype) as fs:
        for key, value in options.items():
            if value is None:
                fsconfig_flag(fs, key)
            elif isinstance(value, Fd):
                fsconfig_fd(fs, key, value)
            else:
                fsconfig_string(fs, key, value)
        fsconfig_create(fs)
        return fsmount(fs, attrs)


def _configured(fs: Fd, result: int, what: str) -> None:
    if result >= 0:
        return
    reason = "; ".join(_log(fs))
    because = f" ({reason})" if reason else ""
    raise OSError(-result, f"fsconfig {what}: {os.strerror(-result)}{because}", fs.what)


def _log(fs: Fd) -> Iterator[str]:
    """The messages of a context, without the leading severity letter."""
    while True:
        try:
            line = os.read(fs.fileno(), LOG_LINE)
        except OSError:  # ENODATA: no more
            return
        yield line.decode("utf-8", "replace").strip()[2:]


def reconfigure(mount: Fd, options: Mapping[str, str]) -> None:
    """fspick(2): give the file system of *mount* other *options*, as `mount -o remount` does."""
    with Fd(check(lib.vz_fspick(mount.fileno()), "fspick", mount.what), mount.what) as fs:
        for key, value in options.items():
            fsconfig_string(fs, key, value)
        _configured(fs, lib.vz_fsconfig(fs.fileno(), Config.RECONFIGURE, NULL, NULL, 0), "reconfigure")


@contextmanager
def fsids(uid: int, gid: int) -> Iterator[None]:
    """File accesses of *this thread* are made as *uid*:*gid*, with all its capabilities kept.

    Needed where the kernel stores the id of the caller through an idmapped mount: host root has no id there,
    and overlay silently becomes read-only.  Do nothing else inside; never await.
    """
    check(lib.vz_fsids(uid, gid), "setfsuid", f"{uid}:{gid}")
    try:
        yield
    finally:
        check(lib.vz_fsids(0, 0), "setfsuid", "0:0")


# ---- what is mounted


def magic(file: Fd) -> int:
    """What kind of file system *file* is in: DEVPTS, TMPFS, ..."""
    return check(lib.vz_fs_magic(file.fileno()), "fstatfs", file.what)


def _unescape(field: str) -> str:
    """mountinfo writes blank, tab, newline and backslash as three octal digits."""
    head, *rest = field.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)


def mount_points(mountinfo: str) -> list[str]:
    """The mount points of a mountinfo text, in order of mounting."""
    return [_unescape(line.split(" ", 5)[4]) for line in mountinfo.splitlines()]


def _mountinfo() -> str:
    """Of our own namespace."""
    with open("/proc/thread-self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def shown_here(file: Fd) -> bool:
    """True when the file system of *file* is mounted in our own namespace, anywhere: what a guest has of such a one is
    lent to it.
    """
    device = os.fstat(file.fileno()).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    return any(line.split(" ", 3)[2] == number for line in _mountinfo().splitlines())


def is_mounted(path: str) -> bool:
    """True when something is mounted exactly at *path* (links in it resolved): the kernel's own answer, by statx(2).

    A look into mountinfo would cost the more the more containers there are.  A path that leads nowhere is no mount;
    OSError when it cannot be told.
    """
    result: int = lib.vz_is_mount_root(path_bytes(path))
    if -result in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
        return False
    return bool(check(result, "statx", path))


def mounts_below(path: str) -> list[str]:
    """Mount points at or below *path*, last mounted first: the order in which to unmount them."""
    root = os.path.realpath(path)
    inside = root.rstrip("/") + "/"
    return [point for point in reversed(mount_points(_mountinfo())) if point == root or point.startswith(inside)]
