"""Command lines that need no daemon: help, version, and those that say nothing that could be done.

`hostd --answer` runs this for a command that finds nobody listening, before one is started for it.
"""

import asyncio
import logging
import os
import sys
from typing import NoReturn, cast

from hostd.command import edge, programs, vz, vzlist
from hostd.command import main as command
from hostd.command.console import Console
from hostd.command.host import Host, Session
from hostd.config.cache import ConfCache
from hostd.config.paths import Paths
from hostd.errors import NoGlobalConfig
from hostd.log import log
from vzinit.protocol import encode

VARIABLE = "VZ_ANSWER"  # the program and its arguments, with a separator between
SEPARATOR = "\x1f"


class _Busy(BaseException):
    """Something was asked of the host."""


class _NoHost:
    """The files of the configuration, and nothing behind them."""

    def __init__(self) -> None:
        self.paths = Paths.from_environment()
        self.confs = ConfCache(self.paths)

    def __getattr__(self, name: str) -> NoReturn:
        raise _Busy


class _Terminal:
    """As much of a session as printing needs; what is printed waits until it is the answer."""

    uid = os.getuid()

    def __init__(self) -> None:
        self.on_stdout, self.on_stderr = "", ""

    def __getattr__(self, name: str) -> NoReturn:
        raise _Busy

    def out(self, text: str) -> None:
        self.on_stdout += text

    def err(self, text: str) -> None:
        self.on_stderr += text


def main() -> NoReturn:
    """Answer the command line in VARIABLE by a frame on stdout, or by nothing when a daemon is needed."""
    prog, *argv = os.environ[VARIABLE].split(SEPARATOR)
    found = answer(prog, argv)
    if found is not None:
        code, out, err = found
        sys.stdout.buffer.write(encode("answer", code=code, out=out, err=err))
    sys.exit()


def answer(prog: str, argv: list[str]) -> tuple[int, str, str] | None:
    """Exit code, text for stdout and for stderr of *argv*; None when the host must be asked."""
    log.addHandler(logging.NullHandler())
    terminal = _Terminal()
    host, session = cast(Host, _NoHost()), cast(Session, terminal)
    console = Console(session)
    try:
        if prog == "vzlist":
            code = asyncio.run(vzlist.run(host, session, console, argv))
        elif program := programs.BY_NAME.get(prog):
            code = asyncio.run(programs.run(program, host, session, console, argv))
        elif prog == "vz":
            said = vz.offline(argv)
            if said is None:
                return None
            code, text = said
            console.show(text)
        else:
            found = command.read(host, session, console, list(argv))
            if not isinstance(found, int):
                return None
            code = found
    except (_Busy, NoGlobalConfig):  # hostd makes the missing files of a new installation
        return None
    except Exception as error:
        text, code = edge.report(error)
        console.error(text)
    return code, terminal.on_stdout, terminal.on_stderr
