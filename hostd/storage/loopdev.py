"""The loop device below a container's image: found again when it is still there, made otherwise.

A stopped container's mounts end a moment after its last process.  A start in that moment must not attach the
image a second time: two ext4 instances on one image destroy it.  So the device is noted beside the image, and
taken again when it still has that image behind it; holding it open keeps it from clearing itself.
"""

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from hostd.kernel import loop
from hostd.kernel.fd import Fd

NOTE = "loop"
_LOOP_CLR_FD = 0x4C01  # linux/loop.h
_LOOP_GET_STATUS64 = 0x4C05
_STATUS64 = struct.Struct("<QQQQQIIIIII64s64s32s2Q")  # struct loop_info64: lo_device and lo_inode come first


@contextmanager
def attached(private: str, image: str) -> Iterator[str]:
    """Path of a loop device with *image* behind it; it lives as long as this or a mount of it."""
    known = _known(private, image)
    if known is not None:
        with known:
            yield known.what
        return
    with loop.attach(image, direct_io=True, autoclear=True) as device:
        _note(private, device.path)
        yield device.path


def in_use(private: str, image: str) -> bool:
    """True while a loop device has *image* behind it, that is, while something has it mounted."""
    known = _known(private, image)
    if known is None:
        return False
    known.close()
    return True


def forget(private: str, image: str) -> None:
    """Tell a device that still has *image* behind it to clear itself, now or with its last mount."""
    known = _known(private, image)
    if known is not None:
        with known:
            try:
                fcntl.ioctl(known.fileno(), _LOOP_CLR_FD)
            except OSError:
                pass  # gone meanwhile


def _known(private: str, image: str) -> Fd | None:
    """The noted device, open, if *image* is what it has behind it at this moment."""
    try:
        with open(os.path.join(private, NOTE), encoding="ascii") as file:
            path = file.read().strip()
        device = Fd.open(path, os.O_RDWR)
    except OSError:
        return None
    if _backs(device, image):
        return device
    device.close()
    return None


def _backs(device: Fd, image: str) -> bool:
    status = bytearray(_STATUS64.size)
    try:
        fcntl.ioctl(device.fileno(), _LOOP_GET_STATUS64, status)
        found = os.stat(image)
    except OSError:  # ENXIO: nothing attached
        return False
    behind, inode = _STATUS64.unpack(status)[:2]
    return (int(behind), int(inode)) == (found.st_dev, found.st_ino)  # both encode the number alike


def _note(private: str, path: str) -> None:
    with open(os.path.join(private, NOTE), "w", encoding="ascii") as file:
        file.write(path + "\n")
