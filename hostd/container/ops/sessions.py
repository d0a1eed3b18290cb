"""exec, enter: somebody outside uses the container.  The bytes never pass through the daemon: pipes and the pty's
master (and console sockets, `console`) go straight from the command to PID 1 or the other way round.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from hostd.container import numproc
from hostd.container.container import Container, OpenSession
from hostd.container.init_link import ChannelLost, InitLink, Message
from hostd.container.output import Lines
from hostd.errors import Exit, Failure, NotRunning
from hostd.kernel.fd import Fd

# What OpenVZ gives a command, and nothing of the host's environment.
ENVIRONMENT = {
    "HOME": "/",
    "TERM": "linux",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}

MOST_LINES = 50  # of what a program of ours prints inside
PATIENCE = 10.0  # seconds for a program that takes no time
OF_SCRIPT = 300.0  # seconds for a script that comes from the host, as OpenVZ has for that of a password
LAST_WORDS = 0.3  # seconds for the terminal of a login that has ended


class Terminal(Protocol):
    """The command's side of a session (`hostd.command.host.Session`)."""

    rows: int
    cols: int
    term: str
    detached: asyncio.Event

    async def pipes(self) -> tuple[Fd, Fd, Fd]: ...

    async def relay_pipes(self) -> None: ...

    async def relay_pty(self, master: Fd, typed: str = "") -> None: ...

    async def relay_console(self, stream: Fd) -> None: ...

    async def hangup(self) -> None: ...


def link_of(ct: Container) -> InitLink:
    """The channel to PID 1.  Raises NotRunning, or ChannelLost for a container that runs but does not talk."""
    if not ct.running:
        raise NotRunning("Container is not running")
    if ct.link is None:
        raise ChannelLost("the channel to it is being restored; try again")
    return ct.link


async def execute(
    ct: Container, candidates: Sequence[Sequence[str]], env: Mapping[str, str] | None, terminal: Terminal
) -> int:
    """Run the first of *candidates* whose program exists on the terminal's three pipes.

    Returns its exit code, 128 + N for signal N.  OSError when none can be executed.
    """
    link_of(ct)
    stdin, stdout, stderr = await terminal.pipes()
    with stdin, stdout, stderr:
        stdio = (stdin.fileno(), stdout.fileno(), stderr.fileno())
        session = await _begin_first(ct, candidates, stdio, env)
    await terminal.relay_pipes()
    return await _result(ct, session)


async def _begin_first(
    ct: Container,
    candidates: Sequence[Sequence[str]],
    stdio: tuple[int, int, int],
    env: Mapping[str, str] | None,
) -> OpenSession:
    *earlier, last = candidates
    for argv in earlier:
        try:
            return await _begin(ct, argv, stdio, env)
        except FileNotFoundError:
            continue
    return await _begin(ct, last, stdio, env)


async def _begin(
    ct: Container, argv: Sequence[str], stdio: tuple[int, int, int], env: Mapping[str, str] | None = None
) -> OpenSession:
    """Have vzinit run *argv*; the session's future tells its end.  OSError, or Failure(6) at the limit of NUMPROC."""
    session = ct.open_session()
    variables = [f"{key}={value}" for key, value in (env or ENVIRONMENT).items()]
    try:
        with numproc.forking(ct):
            await link_of(ct).ask("exec", stdio, id=session.number, argv=list(argv), env=variables, cwd="/")
    except BaseException:
        ct.sessions.pop(session.number, None)
        raise
    return session


async def run_first(
    ct: Container,
    candidates: Sequence[Sequence[str]],
    stdio: tuple[int, int, int],
    env: Mapping[str, str],
    patience: float | None,
) -> int:
    """Run the first of *candidates* whose program exists; returns its exit code, 128 + N for signal N.

    Raises OSError, Failure(15) when it has not ended after *patience* seconds.
    """
    return await _result(ct, await _begin_first(ct, candidates, stdio, env), patience)


async def quietly(ct: Container, argv: Sequence[str]) -> int:
    """Run *argv*, which takes no time, with /dev/null as its stdio; returns its exit code.

    Raises OSError, Failure(15) when it has not ended after PATIENCE: the guest may have put anything in its place.
    """
    with Fd.open("/dev/null", os.O_RDWR) as null:
        session = await _begin(ct, argv, (null.fileno(),) * 3)
    return await _result(ct, session, PATIENCE)


async def capture(
    ct: Container, argv: Sequence[str], data: bytes, *, outlives: bool = False
) -> tuple[int, list[str]]:
    """Run *argv* with *data* on stdin; returns its exit code and the first lines that it printed.

    One that *outlives* its caller is not hung up when that is cancelled, and takes its time; of others Failure(15) is
    raised when they have not ended after OF_SCRIPT.
    """
    said: list[str] = []

    def hear(line: str) -> None:
        if len(said) < MOST_LINES:
            said.append(line)

    with Lines(hear) as output:
        with memory_file(data) as stdin:
            session = await _begin(ct, argv, (stdin.fileno(), *(output.writer.fileno(),) * 2))
        code = exit_code(await session.ended) if outlives else await _result(ct, session, OF_SCRIPT)
    return code, said


def memory_file(data: bytes) -> Fd:
    """A file to be read from its beginning, for a program that may take its time: however long, it waits for nobody."""
    file = Fd(os.memfd_create("stdin", os.MFD_CLOEXEC), "standard input")
    with open(file.fileno(), "wb", closefd=False) as stream:
        stream.write(data)
        stream.seek(0)
    return file


async def enter(ct: Container, command: str | None, terminal: Terminal, entered: Callable[[], None]) -> int:
    """A login shell on a pty of the container, *command* typed into it; returns the shell's exit code.

    *entered* is called when it runs, before anything of it is seen.
    """
    link = link_of(ct)
    session = ct.open_session()
    session.hangup = terminal.hangup
    term, rows, cols = terminal.term or "linux", terminal.rows, terminal.cols
    try:
        with numproc.forking(ct):
            answer = await link.ask("enter", id=session.number, term=term, rows=rows, cols=cols)
        terminal_of_it = answer.descriptor()
    except BaseException:
        ct.sessions.pop(session.number, None)
        raise
    with terminal_of_it as master:
        entered()
        relay = asyncio.ensure_future(terminal.relay_pty(master, f"{command}\n" if command else ""))
        try:
            code = await _result(ct, session)
            # The kernel hands on what was written last a moment later.  A program in the background may hold the
            # terminal for ever: what it still says is flushed when the command gets its exit code.
            await asyncio.wait((relay,), timeout=LAST_WORDS)
            return code
        finally:
            relay.cancel()


async def _result(ct: Container, session: OpenSession, patience: float | None = None) -> int:
    """Wait for the session's end; when the command that asked for it goes away, hang the session up.

    After *patience* seconds it is killed, and Failure(15) raised.
    """
    try:
        async with asyncio.timeout(patience):
            return exit_code(await session.ended)
    except asyncio.CancelledError:
        _tell(ct, "hup", session)
        raise
    except TimeoutError:
        _tell(ct, "kill", session, signal=int(signal.SIGKILL))
        raise Failure(Exit.EXEC_TIMEOUT, f"what was started in CT {ct.ctid} did not end in {patience:g} s") from None


def _tell(ct: Container, verb: str, session: OpenSession, **fields: int) -> None:
    if ct.link is not None:
        with suppress(ChannelLost):  # then nobody is there to be told
            ct.link.tell(verb, (), id=session.number, **fields)


def exit_code(ended: Message) -> int:
    """The shell's convention: the code itself, or 128 + the signal's number."""
    killed_by = ended.number("signal")
    return 128 + killed_by % 128 if killed_by else ended.number("code") % 256


async def hang_up_logins(ct: Container) -> None:
    """Close every pty that somebody outside holds: before a checkpoint, which cannot keep them."""
    hangups: list[Awaitable[None]] = [
        session.hangup() for session in ct.sessions.values() if session.hangup is not None
    ]
    await asyncio.gather(*hangups)
