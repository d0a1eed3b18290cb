"""Two system calls that only the helper process makes, by ctypes: the daemon itself never imports this."""

import ctypes
import os
import struct

SYS_PIDFD_GETFD = 438  # the same number on every architecture (asm-generic/unistd.h)
_libc = ctypes.CDLL(None, use_errno=True)


def open_by_handle(mount: int, kind: int, handle: bytes) -> int:
    """open_by_handle_at(2) with O_PATH: a descriptor of the file that *handle* names on *mount*'s file
    system.
    """
    argument = ctypes.create_string_buffer(struct.pack("=Ii", len(handle), kind) + handle)
    return _checked(_libc.open_by_handle_at(mount, argument, os.O_PATH | os.O_CLOEXEC), "open_by_handle_at")


def pidfd_getfd(pidfd: int, number: int) -> int:
    """pidfd_getfd(2): a duplicate of descriptor *number* of the process behind *pidfd*."""
    return _checked(_libc.syscall(SYS_PIDFD_GETFD, pidfd, number, 0), "pidfd_getfd")


def _checked(result: int, name: str) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
    return result
