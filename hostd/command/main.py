"""The single entry of the commands: a command line in, text and an exit code out."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from importlib import import_module
from typing import Protocol, cast

from hostd.command import edge, programs, vz, vzlist
from hostd.command.call import Call
from hostd.command.console import Console
from hostd.command.host import Host, Session
from hostd.command.reading import read
from hostd.config.lockfile import CtLock
from hostd.log import about, listening, timed


class _Module(Protocol):
    async def run(self, call: Call) -> int: ...


async def run(host: Host, session: Session, prog: str, argv: Sequence[str]) -> int:
    """Run the command line *argv* (without the program) of *prog*: one of `hostd.cli.place`'s.

    Every error becomes a line and an exit code; only CancelledError (the user gave up) passes.
    """
    console = Console(session)
    try:
        with listening(_details(console)):
            if prog == "vzlist":
                return await vzlist.run(host, session, console, argv)
            if program := programs.BY_NAME.get(prog):
                return await programs.run(program, host, session, console, argv)
            if prog == "vz":
                return await vz.run(host, console, _by_nobody(host), argv)
            return await _vzctl(host, session, console, list(argv))
    except Exception as error:
        text, code = edge.report(error)
        console.error(text)
        return code


class _Nobody:
    """The session of a command that nobody has typed: what it complains of is the reason of its failure."""

    uid, tty, rows, cols, term, cwd = 0, False, 24, 80, "linux", "/"

    def __init__(self) -> None:
        self.complaints: list[str] = []

    def out(self, text: str) -> None:
        """The log has it."""

    def err(self, text: str) -> None:
        self.complaints += text.splitlines()


def _by_nobody(host: Host) -> vz.Vzctl:
    async def vzctl(*argv: str) -> tuple[int, str]:
        session = _Nobody()
        code = await run(host, cast(Session, session), "vzctl", argv)
        return code, "; ".join(session.complaints) or f"exit code {code}"

    return vzctl


def _details(console: Console) -> Callable[[str], bool]:
    """`console.detail`, for the threads of an operation as well: only the loop's own may write to the command."""
    loop, here = asyncio.get_running_loop(), threading.get_ident()

    def listen(line: str) -> bool:
        if threading.get_ident() == here:
            return console.detail(line)
        loop.call_soon_threadsafe(console.detail, line)
        return console.verbose > 0

    return listen


async def _vzctl(host: Host, session: Session, console: Console, args: list[str]) -> int:
    found = read(host, session, console, args)
    if isinstance(found, int):
        return found
    verb, flags, call = found
    with ExitStack() as held, about(call.ctid):
        if verb.lock and "skiplock" not in flags:
            _lock(host, held, console, call)
        module = cast(_Module, import_module(f"hostd.command.verbs.{verb.module}"))
        try:
            with timed(f"vzctl {call.verb}") if verb.lock else nullcontext():
                return await module.run(call._replace(unlock=held.close))
        except asyncio.CancelledError:
            if verb.lock:  # the operation is undone by now
                console.error("Cancelling...")
            raise


def _lock(host: Host, held: ExitStack, console: Console, call: Call) -> None:
    lock = held.enter_context(CtLock(host.paths, call.ctid, call.verb))
    if lock.removed_stale:
        console.say(f"Removing stale lock file {lock.removed_stale}")
