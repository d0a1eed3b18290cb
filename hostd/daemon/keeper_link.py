"""The daemon's side of the link to its keeper: what outlives the daemon is told and taken back here."""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from hostd.cli import wire
from hostd.daemon.outbox import Outbox
from hostd.kernel.fd import Fd
from hostd.log import log
from vzinit.protocol import Fields, decode, encode, one

if TYPE_CHECKING:
    from hostd.kernel.process import Process

LINK_FD = 3


class ChildExit(NamedTuple):
    """A registered PID 1 has ended: `code` and `status` as waitid's si_code and si_status.

    `code` 0: unknown, because a keeper was killed after the start of this process.
    """

    name: str
    code: int
    status: int

    @property
    def known(self) -> bool:
        return self.code != 0

    @property
    def signal(self) -> int:
        """The signal that ended it, 0 if none: SIGHUP is a reboot, SIGINT a halt of a pid namespace."""
        return self.status if self.code in (os.CLD_KILLED, os.CLD_DUMPED) else 0


class KeptChild(NamedTuple):
    """A living PID 1 that an earlier daemon registered."""

    name: str
    pid: int
    pidfd: Fd


class KeeperLink:
    """Calls return at once and are kept in order; the keeper has them even if the daemon dies right after.

    `listener`: the socket commands connect to.  `held`, `children`: what earlier daemons left; take entries
    out with `pop` or leave them to be closed with the link.  `exits`: every end that was not forgotten yet.
    """

    def __init__(self, link: socket.socket) -> None:
        link.setblocking(False)
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(link, self._lose)
        self._complete = self._loop.create_future()
        self._on_exit: Callable[[ChildExit], None] | None = None
        self._on_lost: Callable[[], None] | None = None
        self.lost = False
        self.runs_helpers = False  # one of an older version, which outlives an exchange of the files, does not
        self.listener: socket.socket | None = None
        self.held: dict[str, Fd] = {}
        self.children: dict[str, KeptChild] = {}
        self.exits: dict[str, ChildExit] = {}
        self._loop.add_reader(link, self._readable)

    @classmethod
    async def connect(cls, fd: int = LINK_FD) -> "KeeperLink":
        """Take over the link *fd*; wait for all that the keeper has.  Raises ConnectionError without one."""
        os.set_inheritable(fd, False)
        link = cls(socket.socket(fileno=fd))
        await link._complete
        return link

    def subscribe(self, on_exit: Callable[[ChildExit], None], on_lost: Callable[[], None]) -> None:
        """*on_exit* is called for every end, known ones first; *on_lost* once, when the keeper is gone."""
        self._on_exit, self._on_lost = on_exit, on_lost
        for ended in list(self.exits.values()):
            on_exit(ended)
        if self.lost:
            on_lost()

    def child(self, name: str, process: "Process") -> None:
        """Register a PID 1; *name* (`CTID:start-number`) must never have been used for another process."""
        self._send(encode("child", name=name, pid=process.pid), process.pidfd)

    def hold(self, name: str, fd: Fd) -> None:
        """Let the keeper hold a duplicate of *fd*; the name may be used again and then means the new one."""
        self._send(encode("hold", name=name), fd)

    def helper(self, name: str, argv: Sequence[str], held: Sequence[str]) -> None:
        """Run *argv* with the descriptors *held* from number 3 on, now and whenever it ends; another one of that name
        ends first.
        """
        self._send(encode("helper", name=name, arg=list(argv), fd=list(held)))

    def forget(self, name: str) -> None:
        """Drop the descriptor, the child, the helper and the exit of that name, whichever exist."""
        self.exits.pop(name, None)
        self._send(encode("forget", name=name))

    def serving(self) -> None:
        """Commands are being answered: a later death is not a failed start, and systemd may know."""
        self._send(encode("serving"))

    def close(self) -> None:
        self._loop.remove_reader(self._link)
        self._outbox.clear()
        self._link.close()
        for fd in [*self.held.values(), *(child.pidfd for child in self.children.values())]:
            fd.close()
        self.held.clear()
        self.children.clear()

    def _send(self, frame: bytes, fd: Fd | None = None) -> None:
        if not self.lost:
            self._outbox.put(frame, fd.dup() if fd else None)

    def _readable(self) -> None:
        try:
            frame, numbers = wire.receive(self._link)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error)
            return
        fds = [Fd(number, "held by the keeper") for number in numbers]
        if not frame:
            self._lose(ConnectionResetError("the keeper is gone"))
            return
        verb, fields = decode(frame)
        self._obey(verb, fields, fds)

    def _obey(self, verb: str, fields: Fields, fds: list[Fd]) -> None:
        if verb == "hello":
            self.listener = socket.socket(fileno=fds[0].steal())
            self.runs_helpers = bool(one(fields, "helpers"))
        elif verb == "held":
            self._take(fields, fds)
        elif verb == "exit":
            self._ended(ChildExit(one(fields, "name"), int(one(fields, "code")), int(one(fields, "status"))))
        elif verb == "complete" and not self._complete.done():
            self._complete.set_result(None)
        else:
            log.warning("keeper said %r: not understood", verb)

    def _take(self, fields: Fields, fds: list[Fd]) -> None:
        """Descriptors in the order of the names, those of children last."""
        names = fields.get("name", [])
        self.held.update(zip(names, fds, strict=False))
        for text, pidfd in zip(fields.get("child", []), fds[len(names) :], strict=True):
            name, _, pid = text.rpartition(" ")
            self.children[name] = KeptChild(name, int(pid), pidfd)

    def _ended(self, ended: ChildExit) -> None:
        if ended.name in self.exits:
            return
        self.exits[ended.name] = ended
        if self._on_exit:
            self._on_exit(ended)

    def _lose(self, error: OSError) -> None:
        """The keeper was killed: say it once, and send nothing more."""
        if self.lost:
            return
        self.lost = True
        self._outbox.clear()
        self._loop.remove_reader(self._link)
        if not self._complete.done():
            self._complete.set_exception(error)
        if self._on_lost:
            self._on_lost()
