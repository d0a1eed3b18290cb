"""What is mounted where, without reading the whole table for every container of a list.

The kernel marks an open /proc/self/mountinfo (POLLPRI) when the table has changed since it was read.
"""

import select

from hostd.kernel.mount import mount_points


class MountTable:
    """The mount points of the daemon's mount namespace, as they are now."""

    def __init__(self) -> None:
        self._file = open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115 - kept
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLPRI)
        self._points: frozenset[str] | None = None

    def has(self, path: str) -> bool:
        """Is something mounted at *path* (absolute, without links)?"""
        if self._poll.poll(0) or self._points is None:
            self._file.seek(0)
            self._points = frozenset(mount_points(self._file.read()))
        return path in self._points

    def close(self) -> None:
        self._file.close()
