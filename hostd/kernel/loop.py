"""Loop devices: an image file as a block device, by one LOOP_CONFIGURE."""

import errno
import fcntl
import os
import stat
import struct
from contextlib import suppress
from typing import NamedTuple

from hostd.kernel.fd import Fd

LOOP_CLR_FD = 0x4C01
LOOP_GET_STATUS64 = 0x4C05
LOOP_CONFIGURE = 0x4C0A
LOOP_CTL_GET_FREE = 0x4C82
LOOP_MAJOR = 7
BLOCK_DEVICES = "/sys/block"
CONTROL_PATH = "/dev/loop-control"
CONTROL = os.makedev(10, 237)  # MISC_MAJOR, LOOP_CTRL_MINOR: opening it loads the driver
LO_FLAGS_READ_ONLY = 1
LO_FLAGS_AUTOCLEAR = 4
LO_FLAGS_DIRECT_IO = 16
NAME_SIZE = 64  # LO_NAME_SIZE

# struct loop_info64: device, inode, rdevice, offset, sizelimit, number, encrypt type and key size, flags,
# name, crypt name, key, init; struct loop_config: fd, block size, a loop_info64, 8 reserved words.
INFO = struct.Struct(f"=QQQQQIIII{NAME_SIZE}s{NAME_SIZE}s32s2Q")
CONFIG = struct.Struct(f"=II{INFO.size}s64x")


class Loop(NamedTuple):
    """An attached loop device.  It lasts until `detach()`, or with *autoclear* until its last user is
    gone."""

    number: int
    fd: Fd

    @property
    def path(self) -> str:
        return f"/dev/loop{self.number}"

    @property
    def direct_io(self) -> bool:
        """False when the file's file system could not do it; the data is then cached twice."""
        with open(f"/sys/block/loop{self.number}/loop/dio", encoding="ascii") as file:
            return file.read().strip() == "1"

    def detach(self) -> None:
        """Let go of the file; while somebody has the device open, the kernel does it at his close."""
        _ioctl(self.fd, LOOP_CLR_FD, 0, "LOOP_CLR_FD")
        self.fd.close()


def attach(
    file: Fd | str, *, direct_io: bool = True, read_only: bool = False, autoclear: bool = False
) -> Loop:
    """Put *file* on a free loop device.  Direct I/O avoids caching everything twice (file and device)."""
    access = os.O_RDONLY if read_only else os.O_RDWR
    if isinstance(file, str):
        with Fd.open(file, access) as opened:
            return attach(opened, direct_io=direct_io, read_only=read_only, autoclear=autoclear)
    flags = LO_FLAGS_READ_ONLY if read_only else 0
    flags |= LO_FLAGS_DIRECT_IO if direct_io else 0
    flags |= LO_FLAGS_AUTOCLEAR if autoclear else 0
    name = os.fsencode(file.what)[: NAME_SIZE - 1]
    info = INFO.pack(0, 0, 0, 0, 0, 0, 0, 0, flags, name, b"", b"", 0, 0)
    config = CONFIG.pack(file.fileno(), 0, info)
    with _open_node(CONTROL_PATH, stat.S_IFCHR | 0o600, CONTROL, os.O_RDWR) as control:
        while True:
            number = fcntl.ioctl(control.fileno(), LOOP_CTL_GET_FREE)
            device = _open(number, access)
            try:
                _ioctl(device, LOOP_CONFIGURE, config, "LOOP_CONFIGURE")
            except OSError as error:
                device.close()
                if error.errno != errno.EBUSY:  # EBUSY: somebody else took the device first
                    raise
            else:
                return Loop(number, device)


def open_loop(number: int) -> Loop:
    """The attached device *number* again, after a restart; FileNotFoundError when it has no file."""
    try:
        loop = Loop(number, _open(number, os.O_RDWR))
    except OSError as error:
        if error.errno != errno.ENXIO:  # a node without a device
            raise
    else:
        if backing(loop.path) is not None:
            return loop
        loop.fd.close()
    raise FileNotFoundError(errno.ENOENT, "loop device has no file", f"/dev/loop{number}")


def device_of(file: tuple[int, int]) -> str | None:
    """Path of a device that has *file* (st_dev, st_ino) behind it, whoever attached it there; OSError.

    Every device that has a file is asked.  The names in sysfs tell nothing: a file can have several, or lie below
    another mount, and ours show none of their directory.
    """
    for name in os.listdir(BLOCK_DEVICES):
        if name.startswith("loop") and os.path.isdir(f"{BLOCK_DEVICES}/{name}/loop"):
            device = f"/dev/{name}"
            if backing(device) == file:
                return device
    return None


def backing(device: str) -> tuple[int, int] | None:
    """(st_dev, st_ino) of the file behind *device*, or None when there is none."""
    try:
        with _open(int(device.removeprefix("/dev/loop")), os.O_RDONLY) as fd:
            answer = fcntl.ioctl(fd.fileno(), LOOP_GET_STATUS64, bytes(INFO.size))
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return None
        raise
    fields = INFO.unpack(answer)
    return int(fields[0]), int(fields[1])


def _open(number: int, access: int) -> Fd:
    return _open_node(f"/dev/loop{number}", stat.S_IFBLK | 0o660, os.makedev(LOOP_MAJOR, number), access)


def _open_node(path: str, mode: int, device: int, access: int) -> Fd:
    """Open a device; its node may be missing where no udev makes one."""
    try:
        return Fd.open(path, access)
    except FileNotFoundError:
        with suppress(FileExistsError):
            os.mknod(path, mode, device)
        return Fd.open(path, access)


def _ioctl(fd: Fd, request: int, argument: int | bytes, name: str) -> None:
    try:
        fcntl.ioctl(fd.fileno(), request, argument)
    except OSError as error:
        raise OSError(error.errno, f"{name}: {error.strerror}", fd.what) from None
