"""What the host asks for: one method per verb of docs/architecture.md, "hostd <-> vzinit".

A request that goes wrong is answered with `error errno= text=`; nothing that arrives here can end PID 1.
"""

import _socket
import errno

from vzinit import channel, child, fds, protocol, session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vzinit.channel import Channel
    from vzinit.console import Consoles
    from vzinit.handoff import Agent
    from vzinit.loop import Loop
    from vzinit.shutdown import Shutdown

PIPES = 3
MAX_EDITED = 16 << 20  # bytes of a file of which only some lines are ours; a longer one is left as it is


class Control:
    """Dispatches frames.  Once: `on_go()` when the services may start, or `on_hand_over()` if the image's init may."""

    def __init__(
        self,
        loop: "Loop",
        on_go: "Callable[[], None]",
        on_hand_over: "Callable[[], None]",
        on_abandoned: "Callable[[], None]",
    ) -> None:
        self._loop = loop
        self._on_go = on_go
        self._on_hand_over = on_hand_over
        self._on_abandoned = on_abandoned
        self._gone = False  # past the start barrier
        self._services_wait = False  # past it, but without services for now
        self._hands_over = False  # INIT=handoff
        self._sequence: str | None = None
        self.channel: Channel = channel.Channel(loop, self._frame, self._bad_frame, self._lost)
        self.sessions = session.Sessions(loop, self._session_ended)
        self.before_quiet: Callable[[], None] = lambda: None
        self.consoles: Consoles
        self.shutdown: Shutdown | Agent

    # Dispatch.

    def _frame(self, verb: str, fields: protocol.Fields, descriptors: list[int]) -> None:
        """Handle one request.  The handler takes what it keeps out of *descriptors*; the rest is closed."""
        self._sequence = protocol.one(fields, "seq") or None
        try:
            handler = HANDLERS.get(verb)
            if not handler:
                raise OSError(errno.ENOSYS, f"unknown request {verb[:40]!r}")
            handler(self, fields, descriptors)
        except Exception as error:
            self._refuse(error, protocol.one(fields, "id") or None)
        finally:
            fds.close_all(descriptors)
            self._sequence = None

    def _answer(self, verb: str, descriptor: int = -1, **fields: object) -> None:
        self.channel.answer(verb, descriptor, seq=self._sequence, **fields)

    def _refuse(self, error: BaseException, session_id: str | None = None) -> None:
        number = error.errno if isinstance(error, OSError) and error.errno else errno.EINVAL
        text = describe(error)
        self._answer("error", id=session_id, errno=number, text=text)

    def _bad_frame(self, text: str, sequence: str | None) -> None:
        self.channel.answer("error", seq=sequence, errno=errno.EBADMSG, text=text)

    def _lost(self) -> None:
        """The host is away.  Before `go` that means: nobody will ever start us."""
        if not self._gone:
            self._on_abandoned()

    def host_is_back(self, sock: _socket.socket) -> None:
        """A connection to the rescue address, from outside of our pid namespace."""
        self.channel.connect(sock)

    # Start.

    def hand_over_lasting_pair(self) -> None:
        """Make a pair in our own network namespace, send one end, switch to the other."""
        ours, theirs = channel.pair()
        self._answer("pair", theirs.fileno(), ino=fds.inode(ours.fileno()))
        theirs.close()
        self.channel.connect(ours)

    def _go(self, fields: protocol.Fields, _descriptors: list[int]) -> None:
        if self._gone:
            raise ValueError("started already")
        self._services_wait = protocol.one(fields, "services", "yes") != "yes"
        self._hands_over = protocol.one(fields, "init") == "handoff"
        if self._services_wait:
            self._answer("ready")
        else:
            self._begin("ready")
        self._gone = True

    def _services(self, _fields: protocol.Fields, _descriptors: list[int]) -> None:
        """The services that `go services=later` kept back."""
        if not self._services_wait:
            raise ValueError("the services are being started already")
        self._services_wait = False
        self._begin("done")

    def _begin(self, answer: str) -> None:
        """What the image wants to run.  Another init is answered for once it runs; for the services nobody waits."""
        if self._hands_over:
            self._on_hand_over()
        self._answer(answer)
        if not self._hands_over:
            self._on_go()

    def _write(self, fields: protocol.Fields, _descriptors: list[int]) -> None:
        path = protocol.one(fields, "path")
        if not path.startswith("/"):
            raise ValueError(f"write path={path!r} is not absolute")
        data = protocol.one(fields, "data").encode("utf-8", "surrogateescape")
        mark = protocol.one(fields, "mark").encode()
        present = fds.read_file(path, (MAX_EDITED if mark else len(data)) + 1)
        if mark and present:
            data = present if len(present) > MAX_EDITED else without_lines(present, mark) + data
        if present and present.strip() == protocol.one(fields, "placeholder").encode():
            present = b""
        if present != data and not (present and protocol.one(fields, "unless_set")):
            fds.write_file(path, data, int(protocol.one(fields, "mode", "644"), 8))
        self._answer("done")

    def _hostname(self, fields: protocol.Fields, _descriptors: list[int]) -> None:
        _socket.sethostname(protocol.one(fields, "name"))
        self._answer("done")

    # Sessions.

    def _exec(self, fields: protocol.Fields, descriptors: list[int]) -> None:
        if len(descriptors) != PIPES:
            raise ValueError(f"exec comes with {len(descriptors)} descriptors instead of {PIPES}")
        self._refuse_while_stopping()
        program = child.Program(
            fields["argv"],
            dict(split_assignment(item) for item in fields.get("env", [])),
            descriptors,
            cwd=protocol.one(fields, "cwd", "/"),
            uid=int(protocol.one(fields, "uid", "0")),
            gid=int(protocol.one(fields, "gid", "0")),
        )
        name = protocol.one(fields, "id")
        self.sessions.execute(name, program, self._starter(name))

    def _starter(self, name: str) -> "Callable[[int, str], None]":
        """The answer to `exec`, given when the program runs or could not be run."""
        sequence = self._sequence

        def started(number: int, text: str) -> None:
            if number:
                self.channel.answer("error", seq=sequence, id=name, errno=number, text=text)
            else:
                self.channel.answer("started", seq=sequence, id=name, pid=self.sessions.pid(name))

        return started

    def _enter(self, fields: protocol.Fields, _descriptors: list[int]) -> None:
        self._refuse_while_stopping()
        name = protocol.one(fields, "id")
        rows, columns = int(protocol.one(fields, "rows", "0")), int(protocol.one(fields, "cols", "0"))
        sequence = self._sequence

        def started(number: int, text: str) -> None:
            if number:
                self.channel.answer("error", seq=sequence, id=name, errno=number, text=text)
            else:
                self.channel.answer("session", master[0], seq=sequence, id=name, pid=self.sessions.pid(name))
            fds.close_all(master)

        master: list[int] = []
        terminal = protocol.one(fields, "term")
        master.append(self.sessions.login(name, fields.get("argv", []), terminal, rows, columns, started))

    def _hup(self, fields: protocol.Fields, _descriptors: list[int]) -> None:
        self.sessions.hang_up(protocol.one(fields, "id"))
        self._answer("done")

    def _kill(self, fields: protocol.Fields, _descriptors: list[int]) -> None:
        self.sessions.signal(protocol.one(fields, "id"), int(protocol.one(fields, "signal", "15")))
        self._answer("done")

    def _session_ended(self, name: str, code: int, signal: int) -> None:
        self.channel.report("ended", id=name, code=code, signal=signal)

    # Consoles.

    def _console(self, fields: protocol.Fields, descriptors: list[int]) -> None:
        if len(descriptors) != 1:
            raise ValueError(f"console comes with {len(descriptors)} descriptors instead of one")
        console = self.consoles.get(int(protocol.one(fields, "tty", "1")))
        self._answer("done")
        console.attach(descriptors.pop())

    def _tail(self, fields: protocol.Fields, _descriptors: list[int]) -> None:
        data = self.consoles.get(int(protocol.one(fields, "tty", "1"))).ring.tail()
        self._answer("text", data=data.replace(b"\0", b"").decode("utf-8", "surrogateescape"))

    def _ring(self, _fields: protocol.Fields, _descriptors: list[int]) -> None:
        """The memory file of the first console: what is in it can be read when we are dead."""
        self._answer("ring", self.consoles.first.ring.fd)

    # Stop, checkpoint.

    def _stop(self, fields: protocol.Fields, _descriptors: list[int]) -> None:
        self.shutdown.begin(protocol.one(fields, "how", "poweroff"), float(protocol.one(fields, "timeout", "60")))
        self._answer("done")

    def _refuse_while_stopping(self) -> None:
        if self.shutdown.how:
            raise OSError(errno.ESHUTDOWN, f"the container is stopping ({self.shutdown.how})")

    def _quiesce(self, _fields: protocol.Fields, _descriptors: list[int]) -> None:
        """No session, no viewer, no message: what is left can be checkpointed."""
        self._refuse_while_stopping()
        sequence = self._sequence
        self.channel.hold()
        self.before_quiet()
        self.consoles.detach_all()
        self.sessions.close_all(lambda: self.channel.answer("quiet", seq=sequence, ino=self.channel.inode()))

    def _resume(self, _fields: protocol.Fields, _descriptors: list[int]) -> None:
        self._answer("done")
        self.channel.release()

    def _newpair(self, _fields: protocol.Fields, _descriptors: list[int]) -> None:
        self.hand_over_lasting_pair()

    def _ping(self, _fields: protocol.Fields, _descriptors: list[int]) -> None:
        self._answer("pong")


HANDLERS = {
    "write": Control._write,
    "hostname": Control._hostname,
    "go": Control._go,
    "services": Control._services,
    "exec": Control._exec,
    "enter": Control._enter,
    "hup": Control._hup,
    "kill": Control._kill,
    "console": Control._console,
    "tail": Control._tail,
    "ring": Control._ring,
    "stop": Control._stop,
    "quiesce": Control._quiesce,
    "resume": Control._resume,
    "newpair": Control._newpair,
    "ping": Control._ping,
}


def without_lines(text: bytes, mark: bytes) -> bytes:
    """The lines of *text* that do not end with *mark*, each with its newline."""
    return b"".join(line + b"\n" for line in text.splitlines() if not line.endswith(mark))


def split_assignment(item: str) -> tuple[str, str]:
    name, _, value = item.partition("=")
    return name, value


def describe(error: BaseException) -> str:
    """One line for the host."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, KeyError):
        return f"the field {error} is missing"
    return str(error) or type(error).__name__
