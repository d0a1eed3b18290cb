"""The single entry of the commands: a command line in, text and an exit code out."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from importlib import import_module
from typing import Protocol, cast

from hostd.command import edge, programs, table, usage, vz, vzlist
from hostd.command.call import Call
from hostd.command.console import Console
from hostd.command.grammar import Grammar, Parsed
from hostd.command.host import Host, Session
from hostd.command.table import Verb
from hostd.config import names
from hostd.config.lockfile import CtLock
from hostd.config.settings import KNOWN_KEYS
from hostd.errors import BadConfig, BadValue, Exit, Failure, NoConfig, Usage
from hostd.log import about, detail, listening, timed


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


def read(
    host: Host, session: Session, console: Console, args: list[str]
) -> int | tuple[Verb, list[str], Call]:
    """What *args* of vzctl ask for (verb, global flags, call), or the exit code when that was all.

    Of *host* only the files of the configuration are asked, and where there is none what runs.  Raises what is wrong
    with the command line.
    """
    flags = _global_flags(args)
    console.quiet = "quiet" in flags
    console.verbose = flags.count("verbose")
    if "version" in flags:
        console.show(usage.version_line())
        return Exit.OK
    if "help" in flags:
        console.show(usage.vzctl())
        return Exit.OK
    if not args:
        raise Usage(usage.vzctl().rstrip("\n"))
    verb = table.BY_NAME.get(args[0])
    if verb is None:
        raise Usage(f"Bad command: {args[0]}")
    if session.uid != 0:
        raise Failure(Exit.NO_ACCESS, "Only root can use vzctl")
    ctid = _container(host, console, verb, args)
    return verb, flags, _call(host, session, console, verb, args[0], ctid, args[2 if verb.container else 1 :])


def _global_flags(args: list[str]) -> list[str]:
    """Take the flags that stand before the command off *args*."""
    flags = []
    while args and args[0].startswith("--") and args[0][2:] in table.GLOBAL_FLAGS:
        flags.append(args.pop(0)[2:])
    return flags


def _container(host: Host, console: Console, verb: Verb, args: list[str]) -> int:
    """The container that the command is about, 0 for none.  Raises what the table of failures says."""
    if not verb.container:
        return 0
    if len(args) < 2:
        raise BadValue("CT ID missing")
    ctid = names.resolve(host.paths, args[1])
    if ctid == 0 and verb.name != "set":
        raise BadValue("Only set actions are allowed for CT0")
    if not verb.module:
        raise Failure(verb.code, f"{args[0]} is not supported yet")
    if verb.name != "status":
        host.confs.globals()
    if verb.conf:
        _look_at_file(host, console, verb, ctid)
    return ctid


def _look_at_file(host: Host, console: Console, verb: Verb, ctid: int) -> None:
    """Raises NoConfig and BadConfig."""
    try:
        conf = host.confs.raw(ctid)
    except BadConfig:
        if not verb.any_conf:
            raise
        return
    except NoConfig:
        if not (verb.any_conf and host.facts(ctid).there):
            raise
        return
    if verb.lock:
        for line in conf.warnings:
            console.say(f"Warning: {line}")
        for key in [key for key, _ in conf.items() if key not in KNOWN_KEYS]:
            detail(f"Warning: {conf.place(key)}: unknown parameter {key}, ignored")


def _call(
    host: Host, session: Session, console: Console, verb: Verb, name: str, ctid: int, args: Sequence[str]
) -> Call:
    parsed = Parsed((), ())
    if not verb.payload:
        try:
            parsed = Grammar(verb.options).parse(args)
        except Usage as error:
            raise Failure(verb.code, error.message) from error
        stray = parsed.words[verb.words :]
        if stray:
            what = "Invalid extra arguments" if verb.options else "Invalid options"
            raise Usage(f"{what}: {' '.join(stray)} ")
    return Call(host, session, console, name, ctid, tuple(args), parsed)


def _lock(host: Host, held: ExitStack, console: Console, call: Call) -> None:
    lock = held.enter_context(CtLock(host.paths, call.ctid, call.verb))
    if lock.removed_stale:
        console.say(f"Removing stale lock file {lock.removed_stale}")
