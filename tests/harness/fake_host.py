"""A host of files and flags for tests of the commands: real configuration below a prefix, no container.

`Fake` runs command lines as the daemon does and collects what they print.  `calls` tells what the verbs
asked for.
"""

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

from hostd.command.figures import Usage
from hostd.command.host import (
    Change,
    CheckRow,
    CreateOptions,
    Ended,
    Event,
    Facts,
    Host,
    Report,
    Session,
    StartOptions,
    StopOptions,
)
from hostd.command.main import run
from hostd.config import names, skeleton
from hostd.config.cache import ConfCache
from hostd.config.model import CtConfig
from hostd.config.paths import Paths
from hostd.errors import VzError
from hostd.kernel.fd import Fd
from hostd.userdata.logins import Logins
from hostd.userdata.plan import Plan


class FakeSession:
    uid, tty, rows, cols, term = 0, False, 24, 80, "linux"

    def __init__(self, cwd: str, stdin: str = "") -> None:
        self.cwd = cwd
        self.stdin = stdin  # less than fits into a pipe
        self.stdout, self.stderr = "", ""
        self.piped: Fd | None = None  # what is printed through a pipe

    def out(self, text: str) -> None:
        self.stdout += text

    def err(self, text: str) -> None:
        self.stderr += text

    async def pipes(self) -> tuple[Fd, Fd, Fd]:
        reader, writer = os.pipe()
        os.write(writer, self.stdin.encode())
        os.close(writer)
        printed, stdout = os.pipe()
        self.piped = Fd(printed)
        return Fd(reader), Fd(stdout), Fd(os.open("/dev/null", os.O_WRONLY))

    def collect(self) -> None:
        """What was printed through the pipe and not read yet; nobody may have its other end open."""
        if self.piped is not None:
            with self.piped, open(self.piped.steal(), encoding="utf-8") as file:
                self.stdout += file.read()

    async def relay_pipes(self) -> None:
        pass


@dataclass
class Said:
    code: int
    stdout: str
    stderr: str


@dataclass
class FakeHost:
    paths: Paths
    confs: ConfCache
    states: dict[int, Facts] = field(default_factory=dict)
    coming: dict[int, Facts] = field(default_factory=dict)  # what becomes of them by themselves, for who waits
    usages: dict[int, Usage] = field(default_factory=dict)
    inodes: int | None = None  # of every disk, when they are others than wanted
    calls: list[tuple[object, ...]] = field(default_factory=list)
    unable: frozenset[str] = frozenset()  # keys that it cannot enforce
    changes: list[Change] = field(default_factory=list)
    failure: BaseException | None = None  # raised by the next operation
    failing: str = ""  # the one operation that raises it; "": all
    begun: asyncio.Event | None = None  # set by stop and exec, which then wait for ever
    events: list[Event] = field(default_factory=list)  # told to whoever listens, who then hears that hostd leaves
    ended: Ended = field(default_factory=lambda: Ended(0))

    def ids(self) -> list[int]:
        stems = (name[:-5] for name in os.listdir(self.paths.conf_dir) if name.endswith(".conf"))
        having = {int(stem) for stem in stems if stem.isdigit() and stem != "0"}
        return sorted(having | {ctid for ctid, facts in self.states.items() if facts.there})

    def facts(self, ctid: int) -> Facts:
        return self.states.get(ctid, Facts())

    async def settled(self, ctid: int) -> None:
        self.states.update(self.coming)

    def addresses(self) -> Iterator[tuple[int, str]]:
        for ctid in self.ids():
            if self.facts(ctid).running:
                said = self.confs.raw(ctid).get("IP_ADDRESS") or ""
                for address in self.facts(ctid).live.get("IP_ADDRESS", said).split():
                    yield ctid, address.partition("/")[0]

    async def listen(self, ctids: Set[int], pressure: float, tell: Callable[[Event], None]) -> None:
        self.calls.append(("listen", set(ctids), pressure))
        for event in self.events:
            tell(event)

    async def usage(self, wanted: Mapping[int, Set[str]]) -> Mapping[int, Usage]:
        self.calls += [("usage", ctid, *sorted(parts)) for ctid, parts in wanted.items()]
        return {ctid: self.usages.get(ctid, Usage()) for ctid in wanted}

    def other_inodes(self, ctid: int, config: CtConfig) -> int | None:
        return self.inodes

    def unkept(self, config: CtConfig, keys: Set[str]) -> list[str]:
        return [f"Warning: {key} is not kept" for key in sorted(self.unable & keys)]

    def check(self) -> list[CheckRow]:
        return [
            CheckRow("pidfd", True, "x"),
            CheckRow("idmapped mounts", False, "no containers in user namespaces"),
        ]

    def _do(self, *call: object) -> None:
        self.calls.append(call)
        if self.failure is not None and self.failing in ("", call[0]):
            raise self.failure

    async def _hang(self) -> None:
        if self.begun is not None:
            self.begun.set()
            await asyncio.Event().wait()

    def _become(self, ctid: int, **state: bool) -> None:
        self.states[ctid] = self.facts(ctid)._replace(**state)  # type: ignore[arg-type]

    async def create(self, ctid: int, options: CreateOptions, report: Report) -> None:
        self._do("create", ctid, options)
        options.conf.save(self.paths.ct_conf(ctid))
        os.makedirs(options.config.private)
        if options.config.name:
            names.assign(self.paths, ctid, options.config.name)
        self._become(ctid, exists=True)
        report("Container private area was created")

    async def destroy(self, ctid: int, report: Report) -> None:
        self._do("destroy", ctid)
        self.states.pop(ctid)
        report("Container private area was destroyed")

    async def start(self, ctid: int, options: StartOptions, report: Report) -> None:
        self._do("start", ctid, options)
        self._become(ctid, mounted=True, running=True)
        report("Container start in progress...")

    async def all_up(self, ctid: int) -> None:
        self._do("all_up", ctid, os.listdir(self.paths.lock_dir))

    async def stop(self, ctid: int, options: StopOptions, report: Report) -> None:
        self._do("stop", ctid, options)
        await self._hang()
        self._become(ctid, mounted=options.skip_umount, running=False)
        report("Container was stopped")

    async def mount(self, ctid: int, report: Report) -> None:
        self._do("mount", ctid)

    async def umount(self, ctid: int, report: Report) -> None:
        self._do("umount", ctid)
        self._become(ctid, mounted=False)

    async def apply(self, ctid: int, change: Change, report: Report) -> None:
        self._do("apply", ctid)
        self.changes.append(change)

    async def resize(self, ctid: int, config: CtConfig) -> None:
        self._do("resize", ctid, config.diskspace_kib)

    async def set_logins(self, ctid: int, wanted: Logins) -> None:
        self._do("set_logins", ctid, wanted)

    async def lay_plan(self, ctid: int, plan: Plan) -> None:
        self._do("lay_plan", ctid, plan)

    async def exec(
        self, ctid: int, candidates: Sequence[Sequence[str]], env: Mapping[str, str], session: Session
    ) -> Ended:
        self._do("exec", ctid, [tuple(one) for one in candidates], dict(env))
        await self._hang()
        return self.ended

    async def enter(
        self, ctid: int, command: str | None, session: Session, entered: Callable[[], None]
    ) -> Ended:
        self._do("enter", ctid, command)
        entered()
        return self.ended

    async def console(self, ctid: int, tty: int, session: Session) -> None:
        self._do("console", ctid, tty)

    async def runscript(self, ctid: int, script: Fd, session: Session) -> Ended:
        self._do("runscript", ctid, os.pread(script.fileno(), 100, 0))
        return self.ended

    async def chkpnt(self, ctid: int, dumpfile: str | None, report: Report) -> None:
        self._do("chkpnt", ctid, dumpfile)
        self._become(ctid, running=False, mounted=False, suspended=True)

    async def restore(self, ctid: int, dumpfile: str | None, report: Report) -> None:
        self._do("restore", ctid, dumpfile)
        self._become(ctid, running=True, mounted=True, suspended=False)


class Fake:
    """An installation below *prefix*, and the commands that drive it."""

    def __init__(self, prefix: str) -> None:
        self.paths = Paths(prefix)
        skeleton.install(self.paths)
        self.host = FakeHost(self.paths, ConfCache(self.paths))
        self.session = FakeSession(prefix)

    async def start(self, *argv: str) -> int:
        """vzctl, within a running loop."""
        self.session = FakeSession(self.session.cwd)
        return await run(cast(Host, self.host), cast(Session, self.session), "vzctl", argv)

    def run(self, prog: str, *argv: str, stdin: str = "") -> Said:
        self.session = FakeSession(self.session.cwd, stdin)
        code = asyncio.run(run(cast(Host, self.host), cast(Session, self.session), prog, argv))
        self.session.collect()
        return Said(code, self.session.stdout, self.session.stderr)

    def ctl(self, *argv: str) -> Said:
        return self.run("vzctl", *argv)

    def service(self, verb: str) -> Said:
        return self.run("vz", verb)

    def vzlist(self, *argv: str) -> Said:
        return self.run("vzlist", *argv)

    def ct(self, ctid: int, text: str = "", **state: bool) -> str:
        """Make container *ctid* with this configuration and state, its private area included; answers the
        conf.
        """
        path = self.paths.ct_conf(ctid)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.makedirs(self.paths.private_default.replace("$VEID", str(ctid)), exist_ok=True)
        self.host.states[ctid] = Facts(exists=True, **state)  # type: ignore[arg-type]
        return path

    def up(self, ctid: int, text: str = "") -> str:
        return self.ct(ctid, text, mounted=True, running=True)

    def conf(self, ctid: int) -> str:
        with open(self.paths.ct_conf(ctid), encoding="utf-8") as file:
            return file.read()

    def asked(self) -> list[object]:
        """The names of the operations so far."""
        return [call[0] for call in self.host.calls if call[0] != "usage"]


COMMAND_LINE = "sh -c echo; read wait"


@contextmanager
def living_process() -> Iterator[int]:
    """The pid of a process whose command line is COMMAND_LINE; it has said something, so its exec is over."""
    with subprocess.Popen(COMMAND_LINE.split(" ", 2), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.read(1)
        yield child.pid


class Broken(VzError):
    """A failure for tests."""
