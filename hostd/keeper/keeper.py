"""The keeper's one loop: parent of every PID 1, starter of the daemon, holder of descriptors.

It decides nothing.  What must never be lost passes in this order: frames of a daemon are read to the end
before its death is dealt with, and a status stays until the daemon says `forget`.
"""

import posix
import select
import time

from hostd.cli import place, wire
from hostd.cli.wire import LostDescriptors
from hostd.keeper import log
from hostd.keeper.daemon import Daemon, restart_delay
from hostd.keeper.excuse import answer_commands
from hostd.keeper.helper import Helpers
from hostd.keeper.table import WALL, Child, Table
from hostd.keeper.zombie import first_zombie
from vzinit.protocol import Fields, decode, one

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from _socket import socket
    from collections.abc import Callable
else:
    import _signal

_PATIENCE = 30.0  # seconds a daemon has to end after SIGTERM
_LOOK = 10.0  # seconds from one look at it to the next, and those that it has after SIGKILL
_GRACE = 5.0  # seconds a dead child may stay unregistered, while its `child` frame may be on the way
_HOPELESS = 3  # starts in a row that never came to `serving`: waiting commands get an answer

_NO_DEADLINE = float("inf")


class Keeper:
    def __init__(
        self, listener: "socket", table: Table, argv: list[str], environment: dict[str, str]
    ) -> None:
        self.listener = listener
        self.table = table
        self.argv = argv
        self.environment = environment
        self.helpers = Helpers(table, environment)
        self.daemon: Daemon | None = None
        self.stopping = False
        self.upgrading = False  # asked for; `run` returns
        self.young_deaths = self.failed_starts = 0
        self.start_at = 0.0  # at once
        self.kill_at = self.look_at = _NO_DEADLINE
        self.stray: tuple[int, float] | None = None  # an unregistered zombie and when it is reaped
        self.epoll = select.epoll()
        self.handlers: dict[int, Callable[[], object]] = {}
        self.on_serving: Callable[[], None] = lambda: None
        self.is_ours: Callable[[], bool] = lambda: True  # is the prefix still the one that we locked?
        self.wakeup = self.catch_signals()
        for child in table.living():
            self.watch_child(child)

    # the loop

    def run(self) -> bool:
        """Until told to stop (False) or to exec the next version (True)."""
        while True:
            self.on_time()
            if self.upgrading or (self.stopping and not self.daemon):
                return self.upgrading
            ready = [(fd, self.handlers.get(fd)) for fd, _ in self.epoll.poll(self.timeout())]
            for fd, handler in ready:
                if handler and self.handlers.get(fd) is handler:  # else closed, or its number used again
                    handler()
            self.reap_strays()

    def timeout(self) -> float:
        """Seconds until something is due, -1 for never."""
        stray = self.stray[1] if self.stray else _NO_DEADLINE
        due = min(self.start_at, self.kill_at, self.look_at, stray, self.helpers.due())
        return -1 if due == _NO_DEADLINE else max(0.0, due - time.monotonic())

    def on_time(self) -> None:
        now = time.monotonic()
        if now >= self.start_at and not self.stopping:
            self.start_daemon()
        self.helpers.start_due(now)
        if self.daemon and now >= self.look_at:
            self.look_at = now + _LOOK
            if self.daemon.is_undead():
                self.read_to_end(self.daemon)
                self.lose(self.daemon, "was killed, and waits in the kernel: perhaps for a container")
        if self.daemon and now >= self.kill_at:
            log.line(f"daemon {self.daemon.pid} does not end: killing it")
            self.kill_at, self.look_at = _NO_DEADLINE, now + _LOOK
            self.daemon.signal(_signal.SIGKILL)

    def watch(self, fd: int, handler: "Callable[[], object]", events: int = select.EPOLLIN) -> None:
        self.handlers[fd] = handler
        self.epoll.register(fd, events)

    def unwatch(self, fd: int) -> None:
        if self.handlers.pop(fd, None):
            self.epoll.unregister(fd)

    # signals

    def catch_signals(self) -> int:
        """Signals as numbers in a pipe; its reading end."""
        reader, writer = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        _signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP, _signal.SIGCHLD):
            _signal.signal(number, lambda *_: None)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
        self.watch(reader, self.on_signal)
        return reader

    def on_signal(self) -> None:
        for number in posix.read(self.wakeup, 4096):
            if number == _signal.SIGHUP:
                self.upgrading = not self.stopping
            elif number in (_signal.SIGTERM, _signal.SIGINT):
                self.stop(_signal.SIGKILL if self.stopping else _signal.SIGTERM)

    def stop(self, number: int) -> None:
        """The daemon ends (told by signal *number*), then the keeper.  Containers go on running."""
        self.stopping = True
        self.start_at = _NO_DEADLINE
        self.end_daemon(number)

    def end_daemon(self, number: int) -> None:
        if self.daemon:
            self.daemon.signal(number)
            self.kill_at = time.monotonic() + _PATIENCE

    # the daemon

    def start_daemon(self) -> None:
        self.start_at = _NO_DEADLINE
        if not self.is_ours():
            log.line("the run directory was removed: nobody can reach this hostd any more")
            self.stopping = True
            return
        try:
            daemon = Daemon.start(self.argv, self.environment)
        except OSError as error:
            reason = f"cannot start {self.argv[0]}: {error.strerror}"
            log.line(reason)
            self.start_again(None, reason)
            return
        log.line(f"daemon {daemon.pid} started")
        self.adopt(daemon)
        daemon.greet(self.listener, self.table)
        self.speak()

    def adopt(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.start_at, self.look_at = _NO_DEADLINE, time.monotonic() + _LOOK
        self.watch(daemon.pidfd, self.on_daemon_end)
        self.watch(daemon.link.fileno(), self.on_link)

    def speak(self) -> None:
        """Send what waits.  Nothing is read meanwhile: `forget` must not close what is still to be sent."""
        if self.daemon and self.daemon.link.fileno() in self.handlers:
            everything = self.daemon.flush()
            self.epoll.modify(self.daemon.link.fileno(), select.EPOLLIN if everything else select.EPOLLOUT)

    def on_link(self) -> None:
        if not (daemon := self.daemon):
            return
        if daemon.outbox:
            self.speak()
            return
        try:
            more = self.read_frame(daemon)
        except BlockingIOError:
            return
        if not more:
            self.unwatch(daemon.link.fileno())  # it closed the link: its pidfd tells the rest

    def read_frame(self, daemon: Daemon) -> bool:
        """Take one frame; False at the end of the link.  Raises BlockingIOError when there is none now."""
        try:
            frame, fds = wire.receive(daemon.link)
        except ConnectionResetError:
            return True  # it died with something unread; what it sent is still to come
        except LostDescriptors as error:
            log.line(f"link to the daemon: {error}")
            return True
        if not frame:
            return False
        try:
            verb, fields = decode(frame)
            self.obey(verb, fields, fds)
        except ValueError as error:
            log.line(f"bad frame from the daemon: {error}")
        wire.close_all(fds)  # those that were not taken
        return True

    def obey(self, verb: str, fields: Fields, fds: list[int]) -> None:
        """Do what the daemon says; what is taken of *fds* is removed from it."""
        name = one(fields, "name")
        if verb == "child" and fds:
            self.add_child(name, int(one(fields, "pid")), fds.pop(0))
        elif verb == "hold" and fds:
            self.table.hold(name, fds.pop(0))
        elif verb == "helper" and fields.get("arg"):
            self.helpers.set(name, fields)
        elif verb == "forget":
            self.forget(name)
        elif verb == "serving" and self.daemon:
            self.daemon.serving = True
            self.on_serving()
        else:
            log.line(f"daemon said {verb!r} with {len(fds)} descriptors: not understood")

    def on_daemon_end(self) -> None:
        if not (daemon := self.daemon):
            return
        self.read_to_end(daemon)
        said = place.last_line(place.log_file(), without=log.MARK)
        if why := daemon.reap():
            self.lose(daemon, why, said if why.startswith("exited") else "")

    def lose(self, daemon: Daemon, why: str, said: str = "") -> None:
        """It is no more, or will never again do anything."""
        self.unwatch(daemon.link.fileno())
        self.unwatch(daemon.pidfd)
        daemon.close()
        self.daemon = None
        self.kill_at = self.look_at = _NO_DEADLINE
        log.line(f"daemon {daemon.pid} {why}")
        self.reap_strays(at_once=True)  # nobody is left to register them
        self.start_again(daemon, said or why)

    def read_to_end(self, daemon: Daemon) -> None:
        try:
            while self.read_frame(daemon):
                pass
        except BlockingIOError:
            pass

    def start_again(self, daemon: Daemon | None, reason: str) -> None:
        """At once the first time, later when it keeps dying young; waiting commands learn the *reason*."""
        if self.stopping:
            return
        self.young_deaths = self.young_deaths + 1 if not daemon or daemon.died_young else 0
        self.failed_starts = 0 if daemon and daemon.serving else self.failed_starts + 1
        if self.failed_starts >= _HOPELESS:
            answer_commands(self.listener, reason)
        self.start_at = time.monotonic() + restart_delay(self.young_deaths)

    # children

    def add_child(self, name: str, pid: int, pidfd: int) -> None:
        self.forget_child(name)
        self.watch_child(self.table.add_child(name, pid, pidfd))

    def watch_child(self, child: Child) -> None:
        self.watch(child.pidfd, lambda: self.on_child_end(child))

    def on_child_end(self, child: Child) -> bool:
        """False when it has not ended after all."""
        pidfd = child.pidfd
        self.unwatch(pidfd)
        if not child.reap():
            self.watch_child(child)
            return False
        if self.daemon:
            self.daemon.tell_exit(child)
            self.speak()
        return True

    def forget_child(self, name: str) -> None:
        child = self.table.children.get(name)
        if child and not child.ended:
            self.unwatch(child.pidfd)

    def forget(self, name: str) -> None:
        self.forget_child(name)
        self.helpers.forget(name)
        self.table.forget(name)

    def reap_strays(self, *, at_once: bool = False) -> None:
        """Reap children that nobody registered, after a grace (their pid cannot be reused until then)."""
        while pid := first_zombie():
            known = next((child for child in self.table.living() if child.pid == pid), None)
            if self.helpers.reap(pid) or (known and self.on_child_end(known)):
                continue
            if self.daemon and pid == self.daemon.pid:
                return
            elif at_once or self.grace_is_over(pid):
                posix.waitid(posix.P_PID, pid, posix.WEXITED | posix.WNOHANG | WALL)
                self.stray = None
            else:
                return
        self.stray = None

    def grace_is_over(self, pid: int) -> bool:
        if not self.stray or self.stray[0] != pid:
            self.stray = (pid, time.monotonic() + _GRACE)
        return time.monotonic() >= self.stray[1]
