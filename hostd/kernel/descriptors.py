"""Descriptors that no path leads to: another process's, and files known by their handle."""

import os
from collections.abc import Iterable
from contextlib import suppress

from hostd.kernel import holdings
from hostd.kernel.facade import check, lib
from hostd.kernel.fd import Fd


def pidfd_getfd(pidfd: int, number: int) -> int:
    """pidfd_getfd(2): a duplicate of descriptor *number* of the process behind *pidfd*."""
    return check(lib.vz_pidfd_getfd(pidfd, number), "pidfd_getfd", f"descriptor {number}")


def ask_sockets(pids: Iterable[int], level: int) -> None:
    """getsockopt(2) at *level*, which need not be one that there is, of every socket that *pids* have open.

    They can make that take for ever.
    """
    for pid in pids:
        with suppress(OSError), Fd(os.pidfd_open(pid), f"process {pid}") as pidfd:
            for number, target in holdings.links(f"/proc/{pid}/fd"):
                if target.startswith("socket:"):
                    lib.vz_ask_socket(pidfd.fileno(), int(number), level)  # an error: it was closed meanwhile


def open_by_handle(mount: int, kind: int, handle: bytes) -> int:
    """open_by_handle_at(2) with O_PATH: a descriptor of the file that *handle* names on *mount*'s file system."""
    return check(lib.vz_open_by_handle(mount, kind, handle, len(handle)), "open_by_handle_at", handle.hex())
