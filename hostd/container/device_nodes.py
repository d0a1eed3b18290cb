"""Device nodes in the /dev of a running container: made by the host, since nobody inside can.

What is below the container's root is hostile: no link is followed, nothing is changed but the node itself, and only in
the /dev that the host has made.  What the guest mounts there may be a directory that the host lends it: not touched.
Or it never answers: so nobody waits for all of this longer than `bounded`.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from hostd.checkpoint.aside import bounded
from hostd.container.container import Container
from hostd.container.devices import Device
from hostd.errors import Exit, Failure
from hostd.kernel.fd import Fd
from hostd.kernel.mount import TMPFS, magic, openat2, shown_here
from hostd.kernel.namespace import root_of

_FOLDER = os.O_RDONLY | os.O_DIRECTORY


class Inside(NamedTuple):
    """Where the nodes are: below *root* of PID 1, which is the host's user *owner* there."""

    ctid: int
    owner: int
    root: Fd


async def exchange(ct: Container, gone: Sequence[Device], come: Sequence[Device]) -> None:
    """Take the nodes of *gone* away and make those of *come*.  Failure(86), in the middle of it."""
    with _telling(ct.ctid, "/dev"):
        inside = _inside(ct)
        await bounded(lambda: _exchange(inside, gone, come))


async def take_back(ct: Container, gone: Sequence[Device], come: Sequence[Device]) -> list[Failure]:
    """What `exchange` did with the same: each node by itself, as far as the guest has put nothing in the way.  Why some
    of *gone* are missing; of *come* one that is left can be opened by nobody.
    """
    try:
        with _telling(ct.ctid, "/dev"):
            inside = _inside(ct)
            return await bounded(lambda: _take_back(inside, gone, come))
    except Failure as failure:
        return [failure] if gone else []


def _inside(ct: Container) -> Inside:
    """Nobody inside is asked for the root itself.  ProcessLookupError."""
    if ct.process is None:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    owner = ct.record.uid_base or 0 if ct.record else 0
    return Inside(ct.ctid, owner, root_of(ct.process.pidfd))


def _exchange(inside: Inside, gone: Sequence[Device], come: Sequence[Device]) -> None:
    with inside.root:
        for device in gone:
            remove(inside, device)
        for device in come:
            make(inside, device)


def _take_back(inside: Inside, gone: Sequence[Device], come: Sequence[Device]) -> list[Failure]:
    missing = []
    with inside.root:
        for device in come:
            with suppress(Failure):
                remove(inside, device)
        for device in gone:
            try:
                make(inside, device)
            except Failure as failure:
                missing.append(failure)
    return missing


def make(inside: Inside, device: Device) -> None:
    """The node of *device*; one that is there already is left alone.  Failure(86)."""
    with _telling(inside.ctid, f"/dev/{device.name}"), _dev(inside.root) as dev:
        folder, name = _folder(dev, device.name, inside.owner)
        with folder:
            with suppress(FileExistsError):
                os.mknod(name, device.kind | 0o600, device.number, dir_fd=folder.fileno())
            with openat2(folder, name, os.O_PATH | os.O_NOFOLLOW, one_mount=True) as node:
                if not _is(node, device):
                    raise FileExistsError(errno.EEXIST, "something else has that name")
                os.chown(node.path, inside.owner, inside.owner)
                os.chmod(node.path, device.mode)


def remove(inside: Inside, device: Device) -> None:
    """Idempotent; what is no node of *device* stays.  Failure(86)."""
    parent, _, name = device.name.rpartition("/")
    with (
        _telling(inside.ctid, f"/dev/{device.name}"),
        suppress(FileNotFoundError),
        _dev(inside.root) as dev,
        openat2(dev, parent or ".", _FOLDER, one_mount=True) as folder,
        openat2(folder, name, os.O_PATH | os.O_NOFOLLOW, one_mount=True) as node,
    ):
        if _is(node, device):
            os.unlink(name, dir_fd=folder.fileno())


@contextmanager
def _telling(ctid: int, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = "something else is mounted there" if error.errno == errno.EXDEV else error.strerror
        raise Failure(Exit.SET_DEVICES, f"cannot change {what} in CT {ctid}: {reason}") from error


@contextmanager
def _dev(root: Fd) -> Iterator[Fd]:
    with openat2(root, "dev", _FOLDER) as dev:
        if magic(dev) != TMPFS or shown_here(dev):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), "/dev")
        yield dev


def _folder(dev: Fd, name: str, owner: int) -> tuple[Fd, str]:
    """The directory of *name*, made where it is missing, and the last part of it."""
    *parts, last = name.split("/")
    folder = dev.dup()
    for part in parts:
        with suppress(FileExistsError):
            os.mkdir(part, 0o755, dir_fd=folder.fileno())
            with openat2(folder, part, _FOLDER, one_mount=True) as made:
                os.chown(made.path, owner, owner)
        folder = openat2(folder, part, _FOLDER, one_mount=True)
    return folder, last


def _is(node: Fd, device: Device) -> bool:
    status = os.fstat(node.fileno())
    return status.st_mode & 0o170000 == device.kind and status.st_rdev == device.number
