"""Waiting until a counter of some cgroup has moved.  Where the kernel marks their files (v2), epoll(7) waits for that.

On v1 no file is marked, pids.events neither, and the eventfds of cgroup.event_control tell of an OOM and of nothing
else: there one has to look again.
"""

import os
import select
from collections.abc import Iterable

from hostd.cgroup import files
from hostd.cgroup.tree import CtCgroup

FILES = (("memory", "memory.events"), ("memory", "memory.swap.events"), ("pids", "pids.events"))


class Alarm:
    """Readable, as a descriptor, when a counter of one of its cgroups has moved.  Owns what it has open."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._open: dict[int, list[int]] = {}

    def fileno(self) -> int:
        return self._epoll.fileno()

    def watch(self, cgroup: CtCgroup) -> bool:
        """False when this kernel marks none of its files, or no more can be opened: it has to be looked at."""
        if cgroup.tree.mode != "v2":
            return False
        opened = self._open.setdefault(cgroup.ctid, [])
        try:
            for path in _paths(cgroup):
                opened.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
                os.pread(opened[-1], 4096, 0)  # only who has read it is told of a change
                self._epoll.register(opened[-1], select.EPOLLPRI)
        except OSError:
            self.leave(cgroup.ctid)
            return False
        return bool(opened)

    def leave(self, ctid: int) -> None:
        for number in self._open.pop(ctid, []):
            os.close(number)  # and so it is no longer among those waited for

    def stop(self) -> None:
        """The next change is a new one."""
        for number, _ in self._epoll.poll(0):
            try:
                os.pread(number, 4096, 0)
            except OSError as error:
                if error.errno not in files.ABSENT:
                    raise
                self._epoll.unregister(number)  # the cgroup is gone: it would ring for ever

    def close(self) -> None:
        for ctid in list(self._open):
            self.leave(ctid)
        self._epoll.close()


def _paths(cgroup: CtCgroup) -> Iterable[str]:
    for controller, name in FILES:
        directory = cgroup.path(controller)
        if directory is not None and os.path.exists(f"{directory}/{name}"):
            yield f"{directory}/{name}"
