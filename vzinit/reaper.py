"""Collects every process that ends: PID 1 is the parent of all orphans.

SIGCHLD may stand for any number of ends, so one wake-up collects all there are.
"""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol, TypeVar

    class Reaped(Protocol):
        """A process whose end somebody waits for."""

        pid: int

        def ended(self, status: int) -> None: ...

    T = TypeVar("T", bound=Reaped)

children: "dict[int, Reaped]" = {}  # what vzinit itself started; orphans have no entry
watchers: "list[Callable[[], None]]" = []  # called when somebody has ended: the last of a group is a child of PID 1


def adopt(child: "T") -> "T":
    """From now on `child.ended` is called when its process ends."""
    children[child.pid] = child
    return child


def reap() -> bool:
    """Collect what has ended, and tell the watchers.  False when no process is left besides PID 1."""
    some_left = collect()
    for watcher in [*watchers]:
        watcher()
    return some_left


def collect() -> bool:
    while True:
        try:
            pid, status = posix.waitpid(-1, posix.WNOHANG)
        except ChildProcessError:
            return False
        if not pid:
            return True
        child = children.pop(pid, None)
        if child:
            child.ended(status)
