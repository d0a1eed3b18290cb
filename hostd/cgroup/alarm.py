"""Waiting until a counter of some cgroup has moved.  Where the kernel marks their files (v2), epoll(7) waits for that.

On v1 no file is marked, pids.events neither, and the eventfds of cgroup.event_control tell of an OOM and of nothing
else: for all but that one has to look again.
"""

import os
import select
from collections.abc import Callable, Iterable

from hostd.cgroup import files
from hostd.cgroup.tree import CtCgroup

KILLS_V1, KILLS_V2 = ("memory", "memory.oom_control"), ("memory", "memory.events")
FILES = (KILLS_V2, ("memory", "memory.swap.events"), ("pids", "pids.events"))


class Alarm:
    """Readable, as a descriptor, when a counter of one of its cgroups has moved.  Owns what it has open."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._open: dict[int, list[int]] = {}
        self._counters: set[int] = set()  # eventfds among them

    def fileno(self) -> int:
        return self._epoll.fileno()

    def watch(self, cgroup: CtCgroup) -> bool:
        """False when this kernel marks none of its files, or no more can be opened: it has to be looked at."""
        if cgroup.tree.mode != "v2":
            return False
        return self._watch(cgroup, FILES, self._file)

    def watch_kills(self, cgroup: CtCgroup) -> bool:
        """The same, for being killed for memory alone, which v1 has a sign of as well; on v2 now and then for more."""
        if cgroup.tree.mode == "v2":
            return self._watch(cgroup, (KILLS_V2,), self._file)
        return self._watch(cgroup, (KILLS_V1,), self._eventfd)

    def _watch(self, cgroup: CtCgroup, names: Iterable[tuple[str, str]], by: Callable[[str, list[int]], None]) -> bool:
        opened = self._open.setdefault(cgroup.ctid, [])
        try:
            for path in _paths(cgroup, names):
                by(path, opened)
        except OSError:
            self.leave(cgroup.ctid)
            return False
        return bool(opened)

    def _file(self, path: str, opened: list[int]) -> None:
        opened.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        os.pread(opened[-1], 4096, 0)  # only who has read it is told of a change
        self._epoll.register(opened[-1], select.EPOLLPRI)

    def _eventfd(self, path: str, opened: list[int]) -> None:
        opened.append(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))
        self._counters.add(opened[-1])
        what = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            files.write(f"{os.path.dirname(path)}/cgroup.event_control", f"{opened[-1]} {what}")
        finally:
            os.close(what)
        self._epoll.register(opened[-1], select.EPOLLIN)

    def leave(self, ctid: int) -> None:
        for number in self._open.pop(ctid, []):
            self._counters.discard(number)
            os.close(number)  # and so it is no longer among those waited for

    def stop(self) -> None:
        """The next change is a new one."""
        for number, _ in self._epoll.poll(0):
            if number in self._counters:
                os.eventfd_read(number)
                continue
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


def _paths(cgroup: CtCgroup, names: Iterable[tuple[str, str]]) -> Iterable[str]:
    for controller, name in names:
        directory = cgroup.path(controller)
        if directory is not None and os.path.exists(f"{directory}/{name}"):
            yield f"{directory}/{name}"
