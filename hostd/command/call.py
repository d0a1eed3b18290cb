"""One command on its way: what a verb gets."""

import os
import re
from collections.abc import Callable
from typing import NamedTuple

from hostd.command.console import Console
from hostd.command.grammar import Parsed
from hostd.command.host import Facts, Host, Session
from hostd.config.model import CtConfig
from hostd.errors import BadValue, Exit, Failure, NotRunning

_OF_A_PROCESS = re.compile(r"/dev/(fd|stdin|stdout|stderr)(/|$)|/proc/(self|thread-self)(/|$)")


class Call(NamedTuple):
    """`args` are the words behind the CTID as typed, `parsed` the same read by the verb's options."""

    host: Host
    session: Session
    console: Console
    verb: str
    ctid: int
    args: tuple[str, ...]
    parsed: Parsed
    unlock: Callable[[], object] = lambda: None  # before its end, when there is nothing left to do but to wait

    def facts(self) -> Facts:
        return self.host.facts(self.ctid)

    def config(self) -> CtConfig:
        return self.host.confs.ct(self.ctid)

    def flag(self, name: str) -> bool:
        return self.parsed.has(name)

    def running(self) -> Facts:
        """The facts of a container that must run.  Raises NotRunning."""
        facts = self.facts()
        if not facts.running:
            raise NotRunning("Container is not running")
        return facts

    def not_suspended(self) -> None:
        """Before something writes to the disk of a container that is down.  Raises NotRunning while it is suspended."""
        if self.facts().suspended:
            raise NotRunning(
                f"Container is suspended: its disk must stay as its memory knows it (vzctl start {self.ctid} first)"
            )

    def private_area(self) -> CtConfig:
        """The configuration of a container whose data must be there.  Failure 43."""
        config = self.config()
        if not os.path.isdir(config.private):
            raise Failure(Exit.FS_NOPRVT, f"Container private area {config.private} does not exist")
        return config

    def host_path(self, path: str) -> str:
        """`typed_path` of this command."""
        return typed_path(self.session, path)


def typed_path(session: Session, path: str) -> str:
    """*path* as the user meant it: relative to where the command was typed.  Raises BadValue."""
    found = os.path.normpath(os.path.join(session.cwd or "/", path))
    if _OF_A_PROCESS.match(found):
        raise BadValue(f"{path} is another file for hostd than for this command: name a file that both see")
    return found
