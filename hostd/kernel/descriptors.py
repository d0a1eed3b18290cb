"""Descriptors that no path leads to: another process's, and files known by their handle."""

from hostd.kernel.facade import check, lib


def pidfd_getfd(pidfd: int, number: int) -> int:
    """pidfd_getfd(2): a duplicate of descriptor *number* of the process behind *pidfd*."""
    return check(lib.vz_pidfd_getfd(pidfd, number), "pidfd_getfd", f"descriptor {number}")


def open_by_handle(mount: int, kind: int, handle: bytes) -> int:
    """open_by_handle_at(2) with O_PATH: a descriptor of the file that *handle* names on *mount*'s file system."""
    return check(lib.vz_open_by_handle(mount, kind, handle, len(handle)), "open_by_handle_at", handle.hex())
