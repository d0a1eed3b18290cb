"""Command lines that need no daemon: help, version, and those that say nothing that could be done.

`hostd --answer` runs this for a command that finds nobody listening, before one is started for it: what it imports is
what `--help` takes.
"""

import logging
import os
import sys
from collections.abc import Coroutine
from typing import NoReturn, cast

from hostd.command import edge
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


def main() -> None:
    """Answer the command line in VARIABLE by a frame on stdout, or by nothing when a daemon is needed."""
    prog, *argv = os.environ[VARIABLE].split(SEPARATOR)
    found = answer(prog, argv)
    if found is not None:
        code, out, err = found
        sys.stdout.buffer.write(encode("answer", code=code, out=out, err=err))
        sys.stdout.flush()


def answer(prog: str, argv: list[str]) -> tuple[int, str, str] | None:
    """Exit code, text for stdout and for stderr of *argv*; None when the host must be asked."""
    log.addHandler(logging.NullHandler())
    terminal = _Terminal()
    host, session = cast(Host, _NoHost()), cast(Session, terminal)
    console = Console(session)
    try:
        code = _said(prog, argv, host, session, console)
    except (_Busy, NoGlobalConfig):  # hostd makes the missing files of a new installation
        return None
    except Exception as error:
        text, code = edge.report(error)
        console.error(text)
    if code is None:
        return None
    return code, terminal.on_stdout, terminal.on_stderr


def _said(prog: str, argv: list[str], host: Host, session: Session, console: Console) -> int | None:
    """The exit code of what *console* has been told; None when there is more to do."""
    if prog == "vzctl":
        from hostd.command.reading import read

        found = read(host, session, console, list(argv))
        return found if isinstance(found, int) else None
    if prog == "vzlist":
        from hostd.command import vzlist

        return _result(vzlist.run(host, session, console, argv))
    if prog == "vz":
        from hostd.command import vz

        said = vz.offline(argv)
        if said is not None:
            console.show(said[1])
        return said and said[0]
    from hostd.command import programs

    return _result(programs.run(programs.BY_NAME[prog], host, session, console, argv))


def _result(work: Coroutine[object, None, int]) -> int:
    """Of *work* that has nothing to wait for: it would be for the host."""
    try:
        work.send(None)
    except StopIteration as done:
        return int(done.value)
    work.close()
    raise _Busy
