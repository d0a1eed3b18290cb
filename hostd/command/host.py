"""The boundary of the commands: what a verb asks of the host, and of the session that typed it.

Verbs parse, check the state, call one method of `Host` and print.  Everything that changes a container
happens behind these methods; they raise `hostd.errors` and never print, except by `report(line)`, which
shows one line of progress at once.  The daemon implements both protocols.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hostd.command.figures import Usage
from hostd.config.addresses import Interface
from hostd.config.cache import ConfCache
from hostd.config.model import CtConfig
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf
from hostd.kernel.fd import Fd
from hostd.userdata.logins import Logins
from hostd.userdata.plan import Plan
from hostd.userdata.sshkeys import PublicKey

if TYPE_CHECKING:  # most command lines that need no daemon need no loop
    import asyncio

Report = Callable[[str], None]
Event = Mapping[str, object]  # `time`, `ctid`, `event`, and what belongs to that: docs/man/vzctl.8


class Session(Protocol):
    """The command at the other end: its terminal, standard descriptors and working directory ("" if
    unknown).
    """

    uid: int
    tty: bool
    rows: int
    cols: int
    term: str
    cwd: str
    detached: "asyncio.Event"  # the user left a console by ESC .

    def out(self, text: str) -> None:
        """Print *text* as is, at once."""

    def err(self, text: str) -> None: ...

    async def pipes(self) -> tuple[Fd, Fd, Fd]:
        """Three new pipes to the command's stdio; the container's ends: stdin, stdout, stderr."""

    async def relay_pipes(self) -> None:
        """Start copying between the pipes and the command's stdio."""

    async def relay_pty(self, master: Fd, typed: str = "") -> None:
        """Raw mode; copy between the terminal and *master*, follow the window size.  Returns at its end.

        *typed* comes before the first byte of the user's.
        """

    async def relay_console(self, stream: Fd) -> None:
        """The same with ESC . (detach) and ESC ! at the start of a line."""

    async def hangup(self) -> None:
        """Make the command let go of a terminal it relays: nothing outside may hold one at a checkpoint."""


class Facts(NamedTuple):
    """The state of one container, cheap to know.

    `exists`: private area and configuration are there.  `unsettled`: it has ended, and may come back by itself.
    `unborn`: it is being created, and nobody's yet.  `uptime` in seconds, without the time in checkpoints, None when
    down.  `serial` is another one after each start and restore, None when down.  `live` says what a running container
    has of its settings, by configuration key, whatever the files say by now (`hostd.config.live`).
    """

    exists: bool = False
    mounted: bool = False
    running: bool = False
    unsettled: bool = False
    suspended: bool = False
    unborn: bool = False
    uptime: float | None = None
    serial: int | None = None
    live: Mapping[str, str] = {}

    @property
    def stoppable(self) -> bool:
        """It runs, or may by itself again."""
        return self.running or self.unsettled

    @property
    def there(self) -> bool:
        """There is something to end, whatever became of its files."""
        return (self.stoppable or self.mounted) and not self.unborn


class Ended(NamedTuple):
    """How a command ended; `signal` 0 unless one killed it.  `refused`: NUMPROC kept the container from making a
    process meanwhile.
    """

    code: int
    signal: int = 0
    refused: bool = False

    @property
    def shell_code(self) -> int:
        return 128 + self.signal if self.signal else self.code


class CreateOptions(NamedTuple):
    """`conf` is the whole file to save (`paths.ct_conf`), `config` what it means; `config.name` gets its
    symlink.  `plan`: what the first boot is to do.
    """

    conf: VeConf
    config: CtConfig
    plan: Plan | None = None


class StartOptions(NamedTuple):
    """`ssh_keys` are added once it is up.  `wait`: whoever starts it is going to wait for `all_up`."""

    wait: bool = False
    ssh_keys: tuple[PublicKey, ...] = ()


class StopOptions(NamedTuple):
    fast: bool = False
    skip_umount: bool = False


class Change(NamedTuple):
    """The live part of `set`: bring a running container from `before` to `after`.

    `keys` are the configuration keys that were given (changed or not); addresses are told as a difference.
    """

    before: CtConfig
    after: CtConfig
    keys: frozenset[str]
    add: tuple[Interface, ...] = ()
    delete: tuple[Interface, ...] = ()
    logins: Logins = Logins()


class CheckRow(NamedTuple):
    """One line of `vzctl check`: a thing the kernel can or cannot do, and what its absence means."""

    name: str
    present: bool
    consequence: str


class Host(Protocol):
    """The machine and its containers.  `paths` has the directories of vz.conf applied."""

    paths: Paths
    confs: ConfCache

    def ids(self) -> list[int]:
        """Every container that has a configuration file, or runs without, ascending (0 is not one)."""

    def facts(self, ctid: int) -> Facts:
        """Never fails; an unknown container is `Facts()`."""

    async def settled(self, ctid: int) -> None:
        """Wait until one that has ended by itself is cleared away or up again.  It is down meanwhile, and yet will not
        have what is only written for its next start.
        """

    def addresses(self) -> Iterable[tuple[int, str]]:
        """(CTID, IP address) of every container that runs or is being started."""

    async def usage(self, wanted: Mapping[int, Set[str]]) -> Mapping[int, Usage]:
        """Of mounted or running containers; only what is asked for is looked up, and some of it has to be counted.

        What can be wanted: beancounters by their names, and PARTS: `processes` (what numproc holds, no more), `load`,
        `disk`, and what was done: `cpu` (and pressure), `io`, `net`.  A container that is neither is not in the answer.
        """

    def other_inodes(self, ctid: int, config: CtConfig) -> int | None:
        """How many inodes the disk of the container has, when they are not those that *config* wants."""

    def unkept(self, config: CtConfig, keys: Set[str]) -> list[str]:
        """A line for each of the *keys* that asks in *config* for something that this host cannot enforce."""

    def check(self) -> list[CheckRow]: ...

    async def listen(self, ctids: Set[int], pressure: float, tell: Callable[[Event], None]) -> None:
        """Tell what happens to the containers *ctids* (none: to all), until hostd leaves.  With *pressure* also, so
        many seconds apart, how they wait for processors, memory and disks; Failure(5) when this kernel does not say.
        """

    # Each reports the lines of progress that OpenVZ prints, and is all or nothing.

    async def create(self, ctid: int, options: CreateOptions, report: Report) -> None:
        """Reports `Creating container private area (TMPL)`, `Performing postcreate actions`, `CT
        configuration saved to FILE`, `Container private area was created`.  Failure 44, 91, 46, 48; the
        edge adds the last line.
        """

    async def destroy(self, ctid: int, report: Report) -> None:
        """Reports `Destroying container private area: DIR`, `Container private area was destroyed`.  Also
        removes dump and name link, and renames the configuration to `*.destroyed`.
        """

    async def start(self, ctid: int, options: StartOptions, report: Report) -> None:
        """Reports `Starting container...`, `Container is mounted`, the settings (`config.announce`),
        `Container start in progress...`.
        """

    async def all_up(self, ctid: int) -> None:
        """Wait until what has been started has its services, and what its first boot does.  Raises Failure(133)."""

    async def stop(self, ctid: int, options: StopOptions, report: Report) -> None:
        """Reports `Stopping container ...`, `Container was stopped`, `Container is unmounted`."""

    async def mount(self, ctid: int, report: Report) -> None:
        """Reports `Container is mounted`."""

    async def umount(self, ctid: int, report: Report) -> None:
        """Reports `Container is unmounted`."""

    async def apply(self, ctid: int, change: Change, report: Report) -> None:
        """Change the running container; on failure everything is as before.  The lines of
        `config.announce` are printed by the caller.
        """

    async def resize(self, ctid: int, config: CtConfig) -> None:
        """Give the disk of a container that is down the size that *config* says; on failure it keeps its own.
        Failure 46: more is stored than would fit; 41: it is mounted.
        """

    async def set_logins(self, ctid: int, wanted: Logins) -> None:
        """Also of a stopped container.  An unknown user is created.  Failure 74."""

    async def lay_plan(self, ctid: int, plan: Plan) -> None:
        """Have the next start carry out *plan*, in the place of one that waits.  OSError."""

    async def exec(
        self, ctid: int, candidates: Sequence[Sequence[str]], env: Mapping[str, str], session: Session
    ) -> Ended:
        """Run the first of the command lines whose program exists, with the session's three pipes.

        OSError when none can be executed; nothing is read from stdin then.
        """

    async def enter(
        self, ctid: int, command: str | None, session: Session, entered: Callable[[], None]
    ) -> Ended:
        """A login shell on a terminal; *command* is typed into it.  *entered* is called once it runs."""

    async def console(self, ctid: int, tty: int, session: Session) -> None:
        """Until the user detaches, or sends a signal; waits for a stopped container to be started, and again after
        each of its ends.
        """

    async def runscript(self, ctid: int, script: Fd, session: Session) -> Ended:
        """Run the host file inside; a stopped container is mounted and gets a minimal environment for it."""

    async def chkpnt(self, ctid: int, dumpfile: str | None, report: Report) -> None:
        """Reports `Setting up checkpoint...`, tabbed `suspend...`, `dump...`, `kill...`, then `Checkpointing
        completed successfully`, `Container is unmounted`.  Failure 16.
        """

    async def restore(self, ctid: int, dumpfile: str | None, report: Report) -> None:
        """Reports `Restoring container ...`, tabbed `undump...`, `resume...`, `Container start in
        progress...`, `Restoring completed successfully`.  Failure 17.
        """
