"""The content of a container's /dev: saved before a dump, made again in a fresh tmpfs for the restore.

CRIU cannot make device nodes inside a user namespace, so /dev is external to it; and a tmpfs does not
outlive the container, let alone a reboot of the host.  What the guest put there (/dev/log, /dev/initctl)
comes back this way.
"""

import base64
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from hostd.errors import Exit, Failure
from hostd.kernel.fd import Fd
from hostd.kernel.mount import MountAttr, new_filesystem

_OPTIONS = ("size", "nr_inodes", "mode")  # of the tmpfs

# Our own tmpfs holds 512 KiB in 1024 files; a guest may mount another one over it, and what it keeps there is hostile.
_MOST_NODES = 2048
_MOST_DATA = 1 << 20  # bytes of all regular files
_DEEPEST = 32  # directories within each other


@dataclass(frozen=True, slots=True)
class Node:
    """One file.  *path* is relative to /dev, ids are the container's own, *device* is major, minor."""

    path: str
    mode: int
    uid: int
    gid: int
    device: tuple[int, int] = (0, 0)
    target: str = ""  # of a symbolic link
    data: str = ""  # of a regular file, base64


@dataclass(frozen=True, slots=True)
class DevTree:
    """The options of the tmpfs and its files, directories before what is in them."""

    options: dict[str, str]
    nodes: list[Node]


def save(pid: int, uid_base: int) -> DevTree:
    """The /dev of the container whose PID 1 is *pid*.  Failure(16): more than a /dev ever holds is in it."""
    with Fd.open(f"/proc/{pid}/root/dev", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW) as top:
        return DevTree(_options(pid), read(top, uid_base))


def read(top: Fd, uid_base: int) -> list[Node]:
    """All nodes below *top*.  Failure(16), as `save`."""
    nodes: list[Node] = []
    data = 0
    for node in _walk(top, "", os.fstat(top.fileno()).st_dev, uid_base):
        nodes.append(node)
        data += len(node.data) * 3 // 4
        if len(nodes) > _MOST_NODES or data > _MOST_DATA or node.path.count("/") > _DEEPEST:
            what = f"{_MOST_NODES} files, {_MOST_DATA >> 10} KiB or {_DEEPEST} levels of directories"
            raise Failure(Exit.CHKPNT, f"/dev of the container holds more than {what}", hint="a tmpfs elsewhere may")
    return nodes


def replay(tree: DevTree, uid_base: int) -> Fd:
    """A detached tmpfs with the content of *tree*, for the range that begins at *uid_base*."""
    mount = new_filesystem("tmpfs", {"source": "dev", **tree.options}, MountAttr.NOSUID | MountAttr.NOEXEC)
    os.chown(mount.path, uid_base, uid_base)
    for node in tree.nodes:
        _make(f"{mount.path}/{node.path}", node, uid_base)
    return mount


def _options(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        lines = [line.split(" ") for line in file]
    for fields in reversed(lines):
        if fields[4] == "/dev":
            pairs = (option.partition("=") for option in fields[-1].strip().split(","))
            return {key: value for key, _, value in pairs if key in _OPTIONS}
    return {}


def _walk(folder: Fd, prefix: str, device: int, uid_base: int) -> Iterator[Node]:
    """Everything in *folder* that is on its own file system; a mount point only as the directory it lies on.
    """
    for name in sorted(_names(folder)):
        try:
            status = os.stat(name, dir_fd=folder.fileno(), follow_symlinks=False)
        except FileNotFoundError:
            continue
        if not stat.S_ISSOCK(status.st_mode):  # CRIU binds the sockets it restores
            yield _node(folder, name, prefix + name, status, uid_base)
        if stat.S_ISDIR(status.st_mode) and status.st_dev == device:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            with Fd.open(name, flags, dir=folder) as inner:
                yield from _walk(inner, f"{prefix}{name}/", device, uid_base)


def _names(folder: Fd) -> list[str]:
    """What is in *folder*, and no more of it than is refused."""
    with os.scandir(folder.fileno()) as entries:
        return [entry.name for entry in islice(entries, _MOST_NODES + 1)]


def _node(folder: Fd, name: str, path: str, status: os.stat_result, uid_base: int) -> Node:
    kind = stat.S_IFMT(status.st_mode)
    return Node(
        path,
        status.st_mode,
        max(status.st_uid - uid_base, 0),
        max(status.st_gid - uid_base, 0),
        (os.major(status.st_rdev), os.minor(status.st_rdev)),
        os.readlink(name, dir_fd=folder.fileno()) if kind == stat.S_IFLNK else "",
        _data(folder, name) if kind == stat.S_IFREG else "",
    )


def _data(folder: Fd, name: str) -> str:
    with Fd.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir=folder) as file:
        return base64.b64encode(os.read(file.fileno(), _MOST_DATA + 1)).decode("ascii")


def _make(path: str, node: Node, uid_base: int) -> None:
    kind, mode = stat.S_IFMT(node.mode), stat.S_IMODE(node.mode)
    if kind == stat.S_IFLNK:
        os.symlink(node.target, path)
    elif kind == stat.S_IFDIR:
        os.mkdir(path)
    else:
        os.mknod(path, kind | 0o600, os.makedev(*node.device))
    os.chown(path, uid_base + node.uid, uid_base + node.gid, follow_symlinks=False)
    if node.data:
        with Fd.open(path, os.O_WRONLY | os.O_NOFOLLOW) as file:
            os.write(file.fileno(), base64.b64decode(node.data))
    if kind != stat.S_IFLNK:
        os.chmod(path, mode)
