"""Device nodes in the /dev of a running container: made by the host, since nobody inside can.

What is below the container's root is hostile: no link is followed, nothing is changed but the node itself, and only in
the /dev that the host has made.  What the guest mounts there may be a directory that the host lends it: not touched.
"""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from hostd.container.container import Container
from hostd.container.devices import Device
from hostd.errors import Exit, Failure
from hostd.kernel.fd import Fd
from hostd.kernel.mount import TMPFS, magic, openat2
from hostd.kernel.namespace import root_of

_FOLDER = os.O_RDONLY | os.O_DIRECTORY


def exchange(ct: Container, gone: Iterable[Device], come: Iterable[Device]) -> None:
    """Take the nodes of *gone* away and make those of *come*.  Failure(86), in the middle of it."""
    for device in gone:
        remove(ct, device)
    for device in come:
        make(ct, device)


def take_back(ct: Container, gone: Iterable[Device], come: Iterable[Device]) -> list[Failure]:
    """What `exchange` did with the same: each node by itself, as far as the guest has put nothing in the way.  Why some
    of *gone* are missing; of *come* one that is left can be opened by nobody.
    """
    for device in come:
        with suppress(Failure):
            remove(ct, device)
    missing = []
    for device in gone:
        try:
            make(ct, device)
        except Failure as failure:
            missing.append(failure)
    return missing


def make(ct: Container, device: Device) -> None:
    """The node of *device*; one that is there already is left alone.  Failure(86)."""
    owner = ct.record.uid_base or 0 if ct.record else 0
    with _telling(ct, device), _dev(ct) as dev:
        folder, name = _folder(dev, device.name, owner)
        with folder:
            with suppress(FileExistsError):
                os.mknod(name, device.kind | 0o600, device.number, dir_fd=folder.fileno())
            with openat2(folder, name, os.O_PATH | os.O_NOFOLLOW, one_mount=True) as node:
                if not _is(node, device):
                    raise FileExistsError(errno.EEXIST, "something else has that name")
                os.chown(node.path, owner, owner)
                os.chmod(node.path, device.mode)


def remove(ct: Container, device: Device) -> None:
    """Idempotent; what is no node of *device* stays.  Failure(86)."""
    parent, _, name = device.name.rpartition("/")
    with (
        _telling(ct, device),
        suppress(FileNotFoundError),
        _dev(ct) as dev,
        openat2(dev, parent or ".", _FOLDER, one_mount=True) as folder,
        openat2(folder, name, os.O_PATH | os.O_NOFOLLOW, one_mount=True) as node,
    ):
        if _is(node, device):
            os.unlink(name, dir_fd=folder.fileno())


@contextmanager
def _telling(ct: Container, device: Device) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = "something else is mounted there" if error.errno == errno.EXDEV else error.strerror
        text = f"cannot change /dev/{device.name} in CT {ct.ctid}: {reason}"
        raise Failure(Exit.SET_DEVICES, text) from error


@contextmanager
def _dev(ct: Container) -> Iterator[Fd]:
    if ct.process is None:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    with root_of(ct.process.pidfd) as root, openat2(root, "dev", _FOLDER) as dev:
        if magic(dev) != TMPFS:
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
