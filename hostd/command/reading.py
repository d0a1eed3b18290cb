"""What a command line of vzctl asks for: flags, verb, container, options."""

from collections.abc import Sequence

from hostd.command import table, usage
from hostd.command.call import Call
from hostd.command.console import Console
from hostd.command.grammar import Grammar, Parsed
from hostd.command.host import Host, Session
from hostd.command.table import Verb
from hostd.config import names
from hostd.config.settings import KNOWN_KEYS
from hostd.errors import BadConfig, BadValue, Exit, Failure, NoConfig, Usage
from hostd.log import detail


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
