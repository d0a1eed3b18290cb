"""What `vzctl` and the other commands do: send the command line to hostd, print what comes back, leave with its code.

The start of the interpreter is most of the time a command takes, so this imports C modules and a few small
files only; copying bytes (`relay`, `pty`) and starting hostd (`launch`) are imported when they are needed.
"""

import posix
import sys
from _socket import AF_UNIX, SOCK_SEQPACKET, socket

from hostd.cli import place, request, wire
from vzinit.protocol import BadFrame, Fields, decode, encode, one

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from hostd.cli.relay import Relay
else:
    import _signal

VERSION = "4.11.0"  # the interface: hostd.command.usage.INTERFACE

# Exit codes of vzctl (hostd.errors.Exit); vzlist knows only 1.
SYSTEM, COMMAND_EXECUTION, NO_ACCESS, SYNTAX = 3, 8, 12, 20

PLAIN = ("start", "stop", "restart", "enter", "exec")  # of a container and without an option: hostd is needed
READERS = ("vzlist", "vzcalc", "vzcpucheck", "vzmemcheck")  # change nothing: they may be asked again
READS = ("vzctl", "vzctl status", "vzctl check", "vz", "vz status")  # so do these
ATTEMPTS = 3


class Leave(Exception):
    """The command is over: exit *code*, after *text* as one line on stderr."""

    def __init__(self, code: int, text: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class HostdGone(Leave):
    """The connection broke before the exit code."""


def main(prog: str) -> None:
    """Run the command *prog* with the arguments of the process.  Does not return."""
    try:
        keep_stdio_open()
        code = run(prog, sys.argv[1:])
    except Leave as leave:
        code = leave.code if prog == "vzctl" or not leave.text else 1
        if leave.text:
            write_all(2, f"{prog}: {leave.text}\n")
    except KeyboardInterrupt:  # before the conversation began
        code = 128 + _signal.SIGINT
    posix._exit(code)  # nothing is buffered; finalising the interpreter would cost a millisecond


def run(prog: str, argv: list[str]) -> int:
    if prog == "vzctl" and argv[:1] == ["--version"]:
        write_all(1, f"vzctl version {VERSION}\n")
        return 0
    words = [word for word in argv if word[:2] != "--"]
    help_wanted = argv[:1] and argv[0][:2] == "--" and "--help" in argv
    if (help_wanted or (prog == "vzctl" and not words)) and (code := answered(prog, argv)) is not None:
        return code
    if posix.geteuid() != 0:
        raise Leave(NO_ACCESS, f"{prog} must be run as root")
    try:
        message = request.frame(prog, argv)
    except BadFrame:
        raise Leave(SYNTAX, "the arguments are too long: more than 128 KiB together") from None
    sock = connection()
    if sock is None and not (len(argv) > 1 and argv[0] in PLAIN and all(word[:1] != "-" for word in argv)):
        code = answered(prog, argv)
        if code is not None:
            return code
    return ask(message, words, reads=prog in READERS or " ".join((prog, *words[:1])) in READS, sock=sock)


def answered(prog: str, argv: list[str]) -> int | None:
    """Print what needs no daemon, help and mistakes, and give its exit code; None for anything else."""
    from hostd.cli.launch import answer

    found = answer(prog, argv)
    if found is None:
        return None
    code, out, err = found
    write_all(1, out)
    write_all(2, err)
    return code


def ask(message: bytes, words: list[str], *, reads: bool, sock: "socket | None" = None) -> int:
    """The exit code of *message*; one that no daemon began, or a question (*reads*), goes to the next daemon."""
    for attempt in range(1, ATTEMPTS + 1):
        command = Command((attempt == 1 and sock) or connected(), words, kept=[] if reads else None)
        try:
            code = command.converse(message)
            break
        except HostdGone:
            command.sock.close()
            if attempt == ATTEMPTS or command.cancelled or (command.begun and not reads):
                raise
    for fd, text in command.kept or ():
        write_all(fd, text)
    return code


def connection() -> "socket | None":
    """A connection to the hostd that listens, or None."""
    sock = socket(AF_UNIX, SOCK_SEQPACKET)
    try:
        connect(sock)
    except OSError:
        sock.close()
        return None
    return sock


def connected() -> socket:
    """A connection to hostd, which is started when nobody listens."""
    sock = connection()
    if sock is not None:
        return sock
    from hostd.cli.launch import CannotStart, start

    sock = socket(AF_UNIX, SOCK_SEQPACKET)
    try:
        start(lambda: connect(sock))
    except CannotStart as why:
        raise Leave(SYSTEM, f"hostd is not running and cannot be started: {why}") from None
    return sock


def connect(sock: socket) -> None:
    path = f"{place.run_dir()}/{place.SOCKET}"
    try:
        address, fd = place.reachable(path)
    except OSError as error:
        raise FileNotFoundError(error.errno, error.strerror, path) from None
    try:
        sock.connect(address)
    finally:
        if fd >= 0:
            posix.close(fd)


class Command:
    """One command in conversation with hostd."""

    def __init__(self, sock: socket, words: list[str], kept: "list[tuple[int, str]] | None" = None) -> None:
        """*words*: the command line without its options.  With *kept*, output goes there instead of out."""
        self.sock = sock
        self.words = words
        self.kept = kept
        self.relay: Relay | None = None
        self.begun = False  # hostd has read the request
        self.cancelled = False
        self.alone = False  # hostd is gone, and only the relay goes on

    def converse(self, message: bytes) -> int:
        """Send *message*, print the answers; the exit code."""
        for signal in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
            _signal.signal(signal, self.on_signal)
        try:
            self.sock.send(message)
            while (code := self.step()) is None:
                pass
            return code
        except (ConnectionError, BadFrame):
            raise self.went_away() from None
        finally:
            self.close_relay()

    def went_away(self) -> HostdGone:
        see = f"; see `vzctl status {self.words[1]}`" if len(self.words) > 1 else ""
        return HostdGone(SYSTEM, "hostd went away before it answered; the container is not harmed" + see)

    def step(self) -> int | None:
        """Copy until hostd says something, then do it.  The exit code when that was `exit`."""
        if self.relay and self.relay.pump(self.sock.fileno()):
            self.end_relay()
            self.tell("detached")
            return None
        frame, fds = wire.receive(self.sock)
        if not frame:
            self.go_on_alone()
            raise ConnectionResetError
        verb, fields = decode(frame)
        if self.relay and verb in ("out", "err", "exit"):
            self.relay.drain()  # what the container wrote before hostd said this
        if verb == "exit":
            return int(one(fields, "code", "0"))
        self.obey(verb, fields, fds)
        return None

    def obey(self, verb: str, fields: Fields, fds: list[int]) -> None:
        if verb == "begun":
            self.begun = True
        elif verb in ("out", "err"):
            self.say(1 if verb == "out" else 2, one(fields, "text"))
        elif verb == "ask":
            self.give_pipes()
        elif verb == "relay":
            self.start_relay(one(fields, "kind"), fds, one(fields, "typed"))
        elif verb == "hangup":
            self.end_relay()
            self.tell("hungup")
        else:
            wire.close_all(fds)  # from a newer hostd: not for us

    def go_on_alone(self) -> None:
        """A running relay needs no hostd: it goes on to the program's end; only the exit code is lost."""
        if self.relay and self.relay.carries:
            self.alone = True
            self.relay.finish()
            if self.words[:1] == ["console"]:
                raise Leave(0)
            code = COMMAND_EXECUTION if self.words[:1] == ["exec"] else SYSTEM
            raise Leave(code, "hostd went away meanwhile; the program went on, but how it ended is not known")

    def give_pipes(self) -> None:
        from hostd.cli.relay import Pipes

        self.relay = Pipes()
        theirs = self.relay.theirs
        wire.send(self.sock, encode("give"), theirs)
        wire.close_all(theirs)

    def start_relay(self, kind: str, fds: list[int], typed: str) -> None:
        from hostd.cli.pty import Console, Pty

        if kind == "console" and isinstance(self.relay, Console):
            self.relay.switch(fds[0])
            return
        if kind in ("pty", "console"):
            self.close_relay()
            self.relay = Pty(fds[0], typed) if kind == "pty" else Console(fds[0], self.tell)
        if self.relay:
            self.relay.start()

    def end_relay(self) -> None:
        """Hand on what has arrived, then give the terminal back."""
        if self.relay:
            self.relay.drain()
        self.close_relay()

    def close_relay(self) -> None:
        if self.relay:
            self.relay.close()
            self.relay = None

    def say(self, fd: int, text: str) -> None:
        if self.kept is None:
            write_all(fd, text)
        else:
            self.kept.append((fd, text))

    def tell(self, verb: str, **fields: int) -> None:
        try:
            self.sock.send(encode(verb, **fields))
        except OSError:
            pass  # the end of the stream says it better

    def on_signal(self, signal: int, frame: object) -> None:
        """The first SIGINT or SIGTERM asks hostd to undo, and its answer is awaited; the second leaves."""
        if self.cancelled or self.alone or signal == _signal.SIGHUP:
            self.close_relay()
            posix._exit(128 + signal)
        self.cancelled = True
        self.tell("cancel", signal=signal)


def keep_stdio_open() -> None:
    """A closed 0, 1 or 2 becomes /dev/null: the next descriptor opened must not be taken for it."""
    try:
        posix.fstat(0), posix.fstat(1), posix.fstat(2)
    except OSError:
        while (fd := posix.open("/dev/null", posix.O_RDWR)) < 2:
            pass
        if fd > 2:
            posix.close(fd)


def write_all(fd: int, text: str) -> None:
    """All of *text* to *fd*; a reader that went away stops the printing, never the operation."""
    data = memoryview(text.encode("utf-8", "surrogateescape"))
    while data:
        try:
            data = data[posix.write(fd, data) :]
        except BlockingIOError:
            import select

            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            poll.poll()
        except OSError:
            return
