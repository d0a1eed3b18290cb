"""systemd's private socket, at which the image's own `systemctl` looks for PID 1.

Who connects gets a helper, a child that speaks D-Bus and knows unit files (`vzinit.manager`), and that ends with the
connection.  Here is what PID 1 does for it: tells what runs, takes new plans, starts and stops.  Both ends are this
container's root; messages are marshalled tuples on a SEQPACKET pair.
"""

import _signal  # type: ignore[import-not-found]
import _socket
import marshal
import posix

from vzinit import channel, child, fds, plan
from vzinit.service import STARTING, STOPPED, WAITING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from vzinit.loop import Loop, Timer
    from vzinit.service import Service
    from vzinit.services import Services

BOOTED = "/run/systemd/system"  # whoever wants to know whether systemd is PID 1 looks for this directory
SOCKET = "/run/systemd/private"
KIND = "/run/systemd/container"  # what systemd-detect-virt reads for users who may not see PID 1's environment
SYSTEMCTL = "/bin/systemctl"
MOST_CLIENTS = 64
CLIENT, PID_1 = 3, 4  # descriptors of a helper, and of nobody whom it starts
LAST_WORDS = 2
FIRST_LOOK = 5.0  # seconds after the boot, for its timers
AT_LATEST = 3600.0  # seconds: the clock on the wall may be set
SLACK = 0.1  # seconds that a look is late, never early
LARGEST = 200 << 10  # bytes of a message; what a socket takes by default is a little more


class Orders:
    """`down(how)` for a client that wants the container down."""

    def __init__(
        self, loop: "Loop", services: "Services", log: "Callable[[str], None]", down: "Callable[[str], None]"
    ) -> None:
        self._loop = loop
        self._services = services
        self._log = log
        self._down = down
        self._helpers: dict[_socket.socket, int] = {}  # our end of the line to each, and its pid
        self._timer: Timer | None = None
        self._listener: _socket.socket | None = None

    def open(self) -> None:
        """Listen, where the image has somebody to listen to; who connects is heard from `serve` on.  Raises OSError."""
        if not fds.is_program(SYSTEMCTL):
            return
        fds.make_parents(BOOTED + "/")
        fds.write_file(KIND, b"vz\n")
        if fds.exists(SOCKET):
            posix.unlink(SOCKET)
        kind = _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        listener = _socket.socket(_socket.AF_UNIX, kind)
        listener.bind(SOCKET)
        posix.chmod(SOCKET, 0o600)
        listener.listen(16)
        self._listener = listener

    def serve(self) -> None:
        """What the boot runs is known: an order before that would have been about half of it."""
        if self._listener:
            self._loop.watch(self._listener.fileno(), lambda _events: self._accept())
            self._timer = self._loop.after(FIRST_LOOK, self._look_at_timers)

    def _accept(self) -> None:
        number, _ = self._listener._accept()  # type: ignore[union-attr]
        client = _socket.socket(fileno=number)
        _pid, uid = channel.peer_of(client)
        if uid or len(self._helpers) >= MOST_CLIENTS:
            client.close()
            return
        try:
            self._help(client)
        finally:
            client.close()

    def _look_at_timers(self) -> None:
        """A helper starts what is due, and says when to look again."""
        self._timer = self._loop.after(AT_LATEST, self._look_at_timers)
        self._help(None)

    def _help(self, client: "_socket.socket | None") -> None:
        """Start a helper: for *client*, or for the timers."""
        ours, theirs = channel.pair()
        try:
            pid = child.fork(lambda: help_out(client.fileno() if client else -1, theirs.fileno()))
        except OSError as error:
            self._log(f"vzinit: no helper: {error.strerror}")
            ours.close()
            return
        finally:
            theirs.close()
        self._helpers[ours] = pid
        ours.setblocking(False)
        self._loop.watch(ours.fileno(), lambda _events: self._receive(ours))

    def _receive(self, helper: _socket.socket) -> None:
        try:
            data = helper.recv(LARGEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._leave(helper)
            return

        def answer(*message: "Any") -> None:
            try:
                helper.send(marshal.dumps(message))
            except OSError:
                pass  # it has left, or does not read

        try:
            verb, *arguments = marshal.loads(data)
            HANDLERS[verb](self, answer, *arguments)
        except Exception as error:
            answer("error", repr(error))

    def _leave(self, helper: _socket.socket) -> None:
        del self._helpers[helper]
        self._loop.unwatch(helper.fileno())
        helper.close()

    def send_home(self) -> None:
        """End all helpers, as what is half said would not survive a checkpoint; clients hear that they are gone."""
        for helper, pid in list(self._helpers.items()):
            try:
                posix.kill(pid, _signal.SIGKILL)
            except ProcessLookupError:
                pass  # its end was not read yet
            self._leave(helper)

    # What helpers ask for.

    def _list(self, answer: "Callable[..., None]") -> None:
        rows = [row(one) for one in self._services.table.values()]
        for at in range(0, len(rows), 100):
            answer("rows", rows[at : at + 100])
        answer("end")

    def _learn(self, answer: "Callable[..., None]", data: bytes) -> None:
        found = plan.load(data)
        for note in found.notes:
            self._log(note)
        self._services.learn(found.services, STOPPED)
        answer("end")

    def _start(self, answer: "Callable[..., None]", job: int, names: list[str], wanted: str) -> None:
        self._services.start(names, wanted, lambda result: answer("job", job, result))

    def _stop(self, answer: "Callable[..., None]", job: int, names: list[str], wanted: str) -> None:
        self._services.halt(names, wanted, lambda result: answer("job", job, result))

    def _restart(
        self, answer: "Callable[..., None]", job: int, names: list[str], pulled: list[str], wanted: str
    ) -> None:
        self._services.restart(names, pulled, wanted, lambda result: answer("job", job, result))

    def _reload(self, answer: "Callable[..., None]", job: int, name: str) -> None:
        one = self._services.table[name]
        one.reload(lambda worked: answer("job", job, "done" if worked else "failed"))

    def _kill(self, answer: "Callable[..., None]", name: str, whom: str, number: int) -> None:
        answer("end", self._services.table[name].processes.kill(whom, number))

    def _forgive(self, answer: "Callable[..., None]", names: list[str]) -> None:
        for name in names or list(self._services.table):
            self._services.table[name].forgive()
        answer("end")

    def _wake(self, answer: "Callable[..., None]", seconds: float) -> None:
        answer("end")
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.after(min(max(seconds, 0.0) + SLACK, AT_LATEST), self._look_at_timers)

    def _go_down(self, answer: "Callable[..., None]", how: str) -> None:
        answer("end")
        self._down(how)


HANDLERS: "dict[str, Callable[..., None]]" = {
    "list": Orders._list,
    "learn": Orders._learn,
    "start": Orders._start,
    "stop": Orders._stop,
    "restart": Orders._restart,
    "reload": Orders._reload,
    "kill": Orders._kill,
    "forgive": Orders._forgive,
    "wake": Orders._wake,
    "down": Orders._go_down,
}


def row(one: "Service") -> "tuple[Any, ...]":
    """What a helper hears of a service; `pid_one.FIELDS` names the places."""
    processes = one.processes
    return (
        one.plan.name, one.state, one.restarts, one.state in (WAITING, STARTING), processes.main, processes.control,
        one.result, one.code, one.signal, one.since, one.up_since, one.down_since, one.status, processes.group,
        one.main_since, one.count,
    )  # fmt: skip


def help_out(client: int, pid_1: int) -> None:
    """In the child; never returns.  Nothing that PID 1 has open stays open here."""
    try:
        posix.setsid()
        null = posix.open("/dev/null", posix.O_RDWR)
        child.take_descriptors([null, null, LAST_WORDS, client if client >= 0 else null, pid_1], null)
        for fd in (CLIENT, PID_1):
            posix.set_inheritable(fd, False)
        if client >= 0:
            from vzinit import manager

            manager.serve(CLIENT, PID_1)
        else:
            from vzinit import tick

            tick.serve(PID_1)
    except BaseException as error:
        posix.write(2, f"vzinit: helper: {error!r}\n".encode())
    finally:
        posix._exit(0)
