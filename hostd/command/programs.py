"""The commands beside vzctl that print or check something: one row each.  Drives dispatch, help and completion.

`code`: of a command line that cannot be used.  Every other failure is 1.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple, Protocol, cast

from hostd.command.console import Console
from hostd.command.grammar import Option, Parsed
from hostd.command.host import Host, Session
from hostd.errors import BadConfig, BadValue, Failure, NoConfig, Usage


class Program(NamedTuple):
    """`what` completes a line behind its options: containers, files or nothing."""

    name: str
    help: str
    what: str = ""
    code: int = 1


PROGRAMS: tuple[Program, ...] = (
    Program("vzcalc", "how much of the host a container uses, was promised, and may use", "containers"),
    Program("vzcfgscale", "multiply the parameters of a configuration", "files"),
    Program("vzcfgvalidate", "check the beancounters of a configuration", "files"),
    Program("vzcpucheck", "compare the CPU weights of the containers with the power of the host", code=2),
    Program("vzmemcheck", "how much memory of the host is used and promised"),
    Program("vzsplit", "make a configuration for one of several equal containers"),
    Program("vzubc", "show the beancounters of containers", "containers"),
)
BY_NAME = {program.name: program for program in PROGRAMS}


class Tool(NamedTuple):
    """One of them on its way: what its module gets."""

    host: Host
    session: Session
    console: Console
    parsed: Parsed


class Parser(Protocol):
    def parse(self, args: Sequence[str]) -> Parsed: ...


class Module(Protocol):
    """What a module in `hostd.command.tools` has."""

    GRAMMAR: Parser
    OPTIONS: tuple[Option, ...]
    HELP: str

    async def run(self, tool: Tool) -> int: ...


def module(name: str) -> Module:
    return cast(Module, import_module(f"hostd.command.tools.{name}"))


async def run(program: Program, host: Host, session: Session, console: Console, argv: Sequence[str]) -> int:
    """Exit code 0, or that of what is wrong."""
    found = module(program.name)
    try:
        parsed = found.GRAMMAR.parse(argv)
        if parsed.has("help"):
            console.show(found.HELP)
            return 0
        if session.uid != 0:
            raise Failure(1, f"Only root can use {program.name}")
        return await found.run(Tool(host, session, console, parsed))
    except Usage as error:
        raise Failure(program.code, error.message) from error
    except (BadConfig, BadValue, NoConfig) as error:
        raise Failure(1, error.message) from error
