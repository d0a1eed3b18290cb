"""The loop device below a container's image: found again when it is still there, made otherwise.

A stopped container's mounts end a moment after its last process.  A start in that moment must not attach the
image a second time: two ext4 instances on one image destroy it.  So the device is noted beside the image, and
taken again when it still has that image behind it; holding it open keeps it from clearing itself.

A device that somebody else has put on the image (`mount -o loop`, to rescue a file) is in no note, and ends the same
way: all devices of the host are asked before there is one more.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hostd.errors import Exit, Failure
from hostd.kernel import loop
from hostd.kernel.fd import Fd
from hostd.kernel.mount import open_tree

NOTE = "loop"
PATIENCE = 5.0  # seconds for the mounts of a container that has just stopped to go


@contextmanager
def attached(private: str, image: str) -> Iterator[str]:
    """Path of a loop device with *image* behind it; it lives as long as this or a mount of it.

    Raises Failure(FS_CANTMOUNT) when somebody else has attached it, OSError.
    """
    device = _known(private, image)
    if device is None:
        refuse_attached(image)
        device = _attach(image)
    with device.fd:
        _note(private, device.number)
        yield device.path


def refuse_attached(image: str) -> None:
    """Raises Failure(FS_CANTMOUNT) when a loop device has *image* behind it; OSError when that cannot be told."""
    found = os.stat(image)
    device = loop.device_of((found.st_dev, found.st_ino))
    if device is not None:
        raise Failure(
            Exit.FS_CANTMOUNT,
            f"{image} is attached to {device}: two file systems on one image destroy it",
            hint=f"unmount {device}, or detach it with losetup -d",
        )


def in_use(private: str, image: str) -> bool:
    """True while our loop device has *image* behind it, that is, while something has it mounted.  OSError."""
    device = _known(private, image)
    if device is None:
        return False
    device.fd.close()
    return True


def left(private: str, image: str) -> bool:
    """Wait for the last mount of *image* to go; False when it stays.  The kernel tells nobody when it has gone."""
    patience = time.monotonic() + PATIENCE
    while in_use(private, image):
        if time.monotonic() > patience:
            return False
        time.sleep(0.002)
    return True


def forget(private: str, image: str) -> None:
    """Tell a device that still has *image* behind it to clear itself, now or with its last mount."""
    with suppress(OSError):  # gone meanwhile; else its last mount is enough
        device = _known(private, image)
        if device is not None:
            with device.fd:
                device.detach()


def _attach(image: str) -> loop.Loop:
    """The kernel shows every container what is behind every loop device (`/sys/block/loop7/loop/backing_file`).

    A file that was opened through a mount of its directory alone has no more to it than its name.
    """
    folder, name = os.path.split(image)
    with open_tree(folder) as alone, Fd.open(name, os.O_RDWR, dir=alone) as file:
        file.what = image
        return loop.attach(file, direct_io=True, autoclear=True)


def _known(private: str, image: str) -> loop.Loop | None:
    """The noted device, open, if *image* is what it has behind it at this moment.

    OSError when that cannot be told: it is not "no", after which the image would be attached again.
    """
    number = _noted(private)
    if number is None:
        return None
    try:
        found = os.stat(image)
        device = loop.open_loop(number)
    except FileNotFoundError:
        return None
    if loop.backing(device.path) == (found.st_dev, found.st_ino):
        return device
    device.fd.close()
    return None


def _noted(private: str) -> int | None:
    try:
        with open(os.path.join(private, NOTE), encoding="ascii") as file:
            return int(file.read())
    except (FileNotFoundError, ValueError):
        return None


def _note(private: str, number: int) -> None:
    """By a rename, for a full disk must not cost the note of a device in use.

    Not made durable, which would be most of the time of a start: after a loss of power no device is there to be known.
    """
    if _noted(private) == number:
        return
    path = os.path.join(private, NOTE)
    with open(f"{path}.tmp", "w", encoding="ascii") as file:
        file.write(f"{number}\n")
    os.rename(f"{path}.tmp", path)
