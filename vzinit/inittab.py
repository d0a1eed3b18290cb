"""/etc/inittab of sysvinit and of busybox -> services.  Runs in the planner.

Both have `id:runlevels:action:process`.  A file with an `initdefault` line is sysvinit's: its rc scripts are
left out, because they mount file systems and set clocks; what they would start comes from the links in
/etc/rc2.d.  Any other is busybox's: the id is a terminal, runlevels mean nothing, and all of it is run, by action and
then by line.  What brings OpenRC's runlevels up and down in either is left out: the planner knows OpenRC.
"""

from vzinit import fds, image_init
from vzinit.plan import BootPlan, Command, ServicePlan

RUNLEVEL = "2"
GETTYS = ("getty", "agetty", "mingetty", "fgetty", "login", "sulogin")
OUR_WORK = ("/etc/init.d/rc", "/etc/init.d/rcS", "/etc/rc.d/rc", "/etc/rc.d/rc.sysinit", "/lib/init/rc")
IN_ORDER = ("sysinit", "boot", "bootwait", "wait")  # each is waited for before the next line
BY_ACTION = ("sysinit", "wait", "once", "respawn", "askfirst", "shutdown")  # the order of busybox
BUSYBOX_ALONE = "::sysinit:/etc/init.d/rcS\n"  # what busybox does without a file, as far as it is not the host's work
FIRST_CONSOLE = ("", "console", "tty1")
# sysvinit: after 10 starts in 2 minutes the line rests for 5; busybox: never, but has one second between starts.
BURST, INTERVAL, REST, DELAY, NEVER = 10, 120.0, 300.0, 1.0, 1 << 30
SHUTDOWN_TIMEOUT = 60.0  # seconds for all lines of that action


class Line:
    """One entry."""

    __slots__ = ("action", "name", "process", "runlevels")

    def __init__(self, name: str, runlevels: str, action: str, process: str) -> None:
        self.name = name
        self.runlevels = runlevels
        self.action = action
        self.process = process.removeprefix("+").removeprefix("@")

    @property
    def program(self) -> str:
        """The file name of what is run, without the dash of a login shell."""
        words = self.process.split()
        return words[0].lstrip("-").rpartition("/")[2] if words else ""


def parse(text: str) -> list[Line]:
    rows = (row.strip().split(":", 3) for row in text.splitlines() if not row.lstrip().startswith("#"))
    return [Line(*row) for row in rows if len(row) == 4 and row[2] and (row[3] or row[2] == "initdefault")]


def add_to(plan: BootPlan, text: str) -> None:
    """Add what *text*, an inittab, asks for."""
    lines = list(enumerate(parse(text), 1))
    is_sysvinit = any(line.action == "initdefault" for _, line in lines)
    if not is_sysvinit:
        lines = [(number, line) for action in BY_ACTION for number, line in lines if line.action == action]
    previous: list[str] = []
    at_stop: list[Command] = []
    for number, line in lines:
        if line.program == "openrc" or (is_sysvinit and not belongs(line)):
            continue
        if line.action in ("respawn", "askfirst") and is_prompt(line):
            if line.name in FIRST_CONSOLE and line.program not in GETTYS and not plan.prompt:
                plan.prompt = line.process.split()
            continue
        service = planned(f"inittab:{number}:{line.program}", line, BURST if is_sysvinit else NEVER)
        if service:
            service.after = previous[-1:]
            plan.services.append(service)
            if line.action in IN_ORDER:
                previous = [service.name]
        elif line.action == "shutdown":
            at_stop.append(command(line.process))
    if at_stop:
        others = [service.name for service in plan.services]  # up to then they run: it is the first to be stopped
        name, time = "inittab:shutdown", SHUTDOWN_TIMEOUT
        plan.services.append(
            ServicePlan(name, "oneshot", [], stop=at_stop, after=others, remain=True, stop_timeout=time)
        )


def belongs(line: Line) -> bool:
    """A sysvinit line of our runlevel that does not repeat the work of the host or of the planner."""
    at_boot = line.action in ("sysinit", "boot", "bootwait")
    return (at_boot or RUNLEVEL in line.runlevels) and line.process.split(" ")[0] not in OUR_WORK


def is_prompt(line: Line) -> bool:
    """A login prompt or a shell on a terminal: consoles start theirs when somebody looks."""
    return line.action == "askfirst" or line.program in GETTYS or line.process.startswith("-")


def planned(name: str, line: Line, burst: int) -> ServicePlan | None:
    """The service of *line*; None for actions that are not services."""
    silent = {"StandardOutput": ["null"], "StandardError": ["null"]} if line.name == "null" else {}
    if line.action in IN_ORDER:
        return ServicePlan(name, "oneshot", [command(line.process)], options=silent)
    if line.action == "once":
        return ServicePlan(name, "simple", [command(line.process)], options=silent)
    if line.action in ("respawn", "askfirst"):
        return ServicePlan(
            name, "simple", [command(line.process)],
            restart="always", restart_delay=DELAY, burst=burst, interval=INTERVAL, rest=REST,
            stop_timeout=5.0, options=silent,
        )  # fmt: skip
    return None


def command(process: str) -> Command:
    """As init does: through the shell only when the line needs one."""
    if any(letter in process for letter in "~`!$^&*()=|\\{}[];\"'<>?"):
        return Command(
            ["/bin/sh", "-c", f"exec {process}" if ";" not in process and "|" not in process else process],
            ":",
        )
    return Command(process.split(), ":")


def from_image(plan: BootPlan) -> None:
    text = fds.read_text("/etc/inittab")
    if not text and image_init.name() == "busybox" and fds.is_program("/etc/init.d/rcS"):
        text = BUSYBOX_ALONE
    add_to(plan, text)
