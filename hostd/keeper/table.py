"""What the keeper keeps: the PID 1s it is the parent of, named descriptors, and helpers.

A child is its pidfd; the number is only told.  Its name carries a start number, so a status can never be
taken for that of another start.  The table travels through an exec as plain data, its descriptors stay
open.
"""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

WALL = 0x40000000  # __WALL of <sys/wait.h>: wait for children of every exit signal (PID 1 has none)


class Child:
    """A registered PID 1; once ended `pidfd` is -1, `code` and `status` are waitid's (0, 0: unknown)."""

    __slots__ = ("code", "name", "pid", "pidfd", "status")

    def __init__(self, name: str, pid: int, pidfd: int, code: int = 0, status: int = 0) -> None:
        self.name = name
        self.pid = pid
        self.pidfd = pidfd
        self.code = code
        self.status = status

    @property
    def ended(self) -> bool:
        return self.pidfd < 0

    def reap(self) -> bool:
        """Take the status if it has ended (readable pidfd); False while it lives."""
        try:
            result = posix.waitid(posix.P_PIDFD, self.pidfd, posix.WEXITED | posix.WNOHANG | WALL)
        except ChildProcessError:
            pass  # not ours (its keeper was killed) or no longer there: the reason is unknowable
        else:
            if result is None:
                return False
            self.code, self.status = result.si_code, result.si_status
        posix.close(self.pidfd)
        self.pidfd = -1
        return True


class Helper:
    """A program that is to run: its command line, and the names of the held descriptors that it gets."""

    __slots__ = ("argv", "failures", "held", "pid", "start_at", "started")

    def __init__(self, argv: list[str], held: list[str], pid: int = 0) -> None:
        self.argv = argv
        self.held = held
        self.pid = pid  # 0: it does not run
        self.started = 0.0
        self.start_at = float("inf") if pid else 0.0
        self.failures = 0


class Table:
    def __init__(self) -> None:
        self.children: dict[str, Child] = {}
        self.held: dict[str, int] = {}
        self.helpers: dict[str, Helper] = {}

    def add_child(self, name: str, pid: int, pidfd: int) -> Child:
        self.drop_child(name)
        child = self.children[name] = Child(name, pid, pidfd)
        return child

    def hold(self, name: str, fd: int) -> None:
        self.drop_held(name)
        self.held[name] = fd

    def forget(self, name: str) -> None:
        self.drop_child(name)
        self.drop_held(name)

    def drop_child(self, name: str) -> None:
        child = self.children.pop(name, None)
        if child and not child.ended:
            posix.close(child.pidfd)

    def drop_held(self, name: str) -> None:
        fd = self.held.pop(name, -1)
        if fd >= 0:
            posix.close(fd)

    def living(self) -> "Iterator[Child]":
        return (child for child in list(self.children.values()) if not child.ended)

    def ended(self) -> "Iterator[Child]":
        return (child for child in list(self.children.values()) if child.ended)

    def descriptors(self) -> list[int]:
        return [*self.held.values(), *(child.pidfd for child in self.living())]

    def plain(self) -> dict[str, object]:
        """The table as data for marshal."""
        rows = [(c.name, c.pid, c.pidfd, c.code, c.status) for c in self.children.values()]
        helpers = [(name, h.argv, h.held, h.pid) for name, h in self.helpers.items()]
        return {"children": rows, "held": self.held, "helpers": helpers}

    @classmethod
    def from_plain(cls, data: "dict[str, object]") -> "Table":
        table = cls()
        rows, held, helpers = data["children"], data["held"], data.get("helpers", [])  # of an old version: none
        assert isinstance(rows, list) and isinstance(held, dict) and isinstance(helpers, list)
        for name, pid, pidfd, code, status in rows:
            table.children[name] = Child(name, pid, pidfd, code, status)
        table.held.update(held)
        table.helpers.update((name, Helper(argv, names, pid)) for name, argv, names, pid in helpers)
        return table
