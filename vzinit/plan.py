"""What is to be run: plain data from the planner (a child that reads unit files) to PID 1."""

import marshal


class Command:
    """One command line of a service.

    `flags` as systemd's Exec prefixes: "-" failure does not count, ":" no $VAR.
    """

    __slots__ = ("argv", "flags", "program")

    def __init__(self, argv: list[str], flags: str = "", program: str = "") -> None:
        self.argv = argv
        self.flags = flags
        self.program = program or argv[0]


class ServicePlan:
    """One service.

    `kind` says how it counts as started, and what its main process is:

        simple   it runs                          notify   it says READY=1
        forking  its command has ended, the main process is in the PID file
        oneshot  all its commands have ended; no main process

    A start without commands is one that only has something to do at the stop.
    Times are seconds; `options` is for `prepare`, which runs in the child before the exec.
    """

    __slots__ = (
        "after", "burst", "grouped", "interval", "kill_mode", "kill_signal",
        "kind", "name", "no_restart_on", "options", "pid_file", "post",
        "pre", "reload", "remain", "requires", "rest", "restart", "restart_delay", "restart_on", "start",
        "start_timeout", "stop", "stop_post", "stop_timeout", "success_on",
    )  # fmt: skip

    def __init__(self, name: str, kind: str, start: list[Command], **others: object) -> None:
        self.name = name
        self.kind = kind
        self.start = start
        self.pre: list[Command] = []
        self.post: list[Command] = []
        self.reload: list[Command] = []
        self.stop: list[Command] = []
        self.stop_post: list[Command] = []
        self.remain = False  # up, though its process has ended
        self.grouped = False  # has a cgroup of its own
        self.requires: list[str] = []  # names; without them it is not started
        self.after: list[str] = []  # names; those that are not planned are ignored
        self.pid_file = ""
        self.restart = "no"  # no, always, on-success, on-failure, on-abnormal, on-abort
        self.restart_delay = 0.1
        self.no_restart_on: list[str] = []  # exit codes and signal names
        self.restart_on: list[str] = []
        self.success_on: list[str] = []
        self.burst = 5  # starts within `interval`
        self.interval = 10.0
        self.rest = 0.0  # after too many starts, try again when this has passed; 0: never
        self.kill_mode = "control-group"  # or process, mixed, none
        self.kill_signal = 15
        self.start_timeout = 90.0
        self.stop_timeout = 90.0
        self.options: dict[str, list[str]] = {}
        for key, value in others.items():
            setattr(self, key, value)


class BootPlan:
    """Everything that the planner found."""

    def __init__(self) -> None:
        self.services: list[ServicePlan] = []
        self.prompt: list[str] = []  # what the image wants on the console instead of a login prompt
        self.notes: list[str] = []  # for the console: what was left out and why
        self.supervised = ""  # the directory of runit's services
        self.within: dict[str, list[str]] = {}  # by service: what it starts by itself; the planner's own


def dump(plan: BootPlan) -> bytes:
    return marshal.dumps((
        [{key: flatten(getattr(service, key)) for key in ServicePlan.__slots__} for service in plan.services],
        plan.prompt, plan.notes, plan.supervised,
    ))  # fmt: skip


def load(data: bytes) -> BootPlan:
    """The plan that `dump` wrote.  Raises ValueError, EOFError or TypeError when *data* is not one."""
    services, prompt, notes, supervised = marshal.loads(data)
    plan = BootPlan()
    plan.services = [service_from(row) for row in services]
    plan.prompt, plan.notes, plan.supervised = prompt, notes, supervised
    return plan


COMMANDS = ("pre", "start", "post", "reload", "stop", "stop_post")


def service_from(row: "dict[str, list[tuple[list[str], str, str]]]") -> ServicePlan:
    service = ServicePlan("", "", [])
    for key, value in row.items():
        setattr(service, key, [Command(*command) for command in value] if key in COMMANDS else value)
    return service


def flatten(value: object) -> object:
    """Commands become tuples: marshal knows no classes."""
    if isinstance(value, list) and value and isinstance(value[0], Command):
        return [(command.argv, command.flags, command.program) for command in value]
    return value
