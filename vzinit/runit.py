"""runit: a supervisor of the image's own (`runsv`) for each service, and PID 1 in the place of `runsvdir`.

So `sv` finds whom it talks to and means what it says.  runsvdir itself would do as well, but tells services apart by
the device of their directory, which is another one after a restore: all would be started anew (ADR 014).  Stages 1 and
3 are the work of the host and of PID 1.
"""

import posix

from vzinit import fds
from vzinit.plan import BootPlan, Command, ServicePlan
from vzinit.service import OVER, STOPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vzinit.loop import Loop
    from vzinit.services import Services

INITS = ("runit", "runit-init")
DIRECTORIES = ("/etc/service", "/var/service", "/service")  # of Debian, of Void, of daemontools
DEFINITIONS, SETS, DEFAULT = "/etc/sv", "/etc/runit/runsvdir", "default"
RUN = ("/run/runit/supervise", "/run/runit/sv")  # where Debian's services keep what supervisors make
PROMPTS = ("getty", "agetty")  # these come when somebody looks at the console
# How runit-init asks PID 1, by SIGCONT: it has set the `x` of a file, and of a second one for a reboot.  Debian, Void.
ASKED = (("/run/runit.stopit", "/run/runit.reboot"), ("/run/runit/stopit", "/run/runit/reboot"))
PERIOD = 5.0  # seconds between two looks at the directory, as runsvdir's
DELAY = 1.0  # seconds before a supervisor that has ended is started again
STOP_TIMEOUT = 7.0  # seconds, as those of `sv force-stop`


# In the planner.


def known() -> set[str]:
    """Names of services that runit knows, whether they are to run or not: their init scripts need not."""
    return set(fds.listdir(DEFINITIONS))


def from_image(plan: BootPlan) -> None:
    """A supervisor for each service, after what there is beside them."""
    for path in RUN:
        fds.make_parents(f"{path}/")
    for path in (path for pair in ASKED for path in pair):
        posix.close(posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_CLOEXEC, 0))
    plan.supervised = services_directory()
    others = [service.name for service in plan.services]
    plan.services += [supervisor(plan.supervised, name, others) for name in services(plan.supervised)]


def services_directory() -> str:
    """The directory of what is to run; one that is made at each boot is made."""
    for directory in DIRECTORIES:
        if fds.is_link(directory) and not fds.is_dir(directory):
            current = posix.readlink(directory)
            fds.make_parents(current)
            posix.symlink(f"{SETS}/{DEFAULT}", current)
        if fds.is_dir(directory):
            return directory
    return ""


# There and in PID 1.


def services(directory: str) -> list[str]:
    names = (name for name in fds.listdir(directory) if not name.startswith((".", *PROMPTS)))
    return [name for name in names if fds.is_dir(f"{directory}/{name}")]


def supervisor(directory: str, name: str, after: list[str]) -> ServicePlan:
    """At SIGTERM it stops its service, and ends with it."""
    return ServicePlan(
        name, "simple", [Command(["runsv", name], ":")], options={"WorkingDirectory": [directory]}, after=after,
        restart="always", restart_delay=DELAY, rest=PERIOD, kill_mode="process", stop_timeout=STOP_TIMEOUT,
    )  # fmt: skip


# In PID 1.


class Scan:
    """Services that are linked into the directory are started, those that are no longer there are stopped."""

    def __init__(self, loop: "Loop", manager: "Services", directory: str) -> None:
        self._loop = loop
        self._services = manager
        self._directory = directory
        self._ours = set(services(directory))
        self._seen = self._state()
        loop.after(PERIOD, self._look)

    def _state(self) -> tuple[int, int]:
        """Another one when a name was added or removed, or the directory is another one."""
        found = posix.stat(self._directory)
        return found.st_ino, found.st_mtime_ns

    def _look(self) -> None:
        self._loop.after(PERIOD, self._look)
        try:
            state = self._state()
        except OSError:
            return  # between two sets of services
        if state != self._seen:
            self._seen = state
            self._follow()

    def _follow(self) -> None:
        there = services(self._directory)
        table = self._services.table
        self._services.learn([supervisor(self._directory, name, []) for name in there if name not in table], STOPPED)
        for name in there:
            if table[name].state in OVER:
                self._services.start([name], name, ignore)
        for name in self._ours - set(there):
            self._services.halt([name], name, ignore)
        self._ours = set(there)


def ignore(_result: str) -> None:
    pass


def asked_for() -> str:
    """What runit-init wants of PID 1: "" for nothing."""
    for stop, reboot in ASKED:
        if is_set(stop):
            return "reboot" if is_set(reboot) else "halt"
    return ""


def is_set(path: str) -> bool:
    return fds.exists(path) and bool(posix.stat(path).st_mode & 0o100)
