"""A unit as `systemctl` shows it: from its file, and from what PID 1 says of it.  Runs in the helper of systemctl.

The tables are of the D-Bus interface of systemd 252 and newer: property, signature, how it is found.  What a client
asks for and what is not here it takes as empty.
"""

import time

from vzinit import conditions, fds, install, on_off, service, timers, unitfile, units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from vzinit.pid_one import State

    Row = tuple[str, str, Callable[["View"], Any]]

INIT_SCRIPTS = "/etc/init.d"
STATES = {
    service.WAITING: ("inactive", "dead"), service.STARTING: ("activating", "start"),
    service.ACTIVE: ("active", "running"), service.DONE: ("active", "exited"), service.FAILED: ("failed", "failed"),
    service.STOPPING: ("deactivating", "stop-sigterm"), service.STOPPED: ("inactive", "dead"),
}  # fmt: skip
NONE = ("inactive", "dead")
DEFAULT_TARGET = units.TARGET
ALWAYS_UP = ("basic.target", "sysinit.target", "local-fs.target", "network.target", "sockets.target", "timers.target")
PASSIVE = (".target", ".timer", ".socket")  # no process is theirs
LOAD_ERRORS = {
    "not-found": ("org.freedesktop.systemd1.NoSuchUnit", "Unit not found."),
    "masked": ("org.freedesktop.systemd1.UnitMasked", "Unit is masked."),
}
CLD_EXITED, CLD_KILLED = 1, 2  # of waitid(2)
TARGET, SERVICE = ".target", ".service"
DEPENDENCIES = (
    "Requires", "Requisite", "Wants", "BindsTo", "PartOf", "Upholds", "Conflicts", "Before", "After", "OnFailure",
    "PropagatesReloadTo", "ReloadPropagatedFrom", "JoinsNamespaceOf",
)  # fmt: skip
TYPES = ("simple", "exec", "forking", "oneshot", "dbus", "notify", "notify-reload", "idle")


class View:
    """One unit.  *state* is None for what PID 1 has not met; *from_boot*: what is no service was pulled in then;
    *find* tells the state of the unit that a timer starts.
    """

    def __init__(
        self,
        name: str,
        state: "State | None",
        from_boot: bool = False,
        find: "Callable[[str], State | None]" = lambda _name: None,
    ) -> None:
        self.unit = unitfile.load(name)
        self.name = self.unit.name if self.unit else name
        self.state = state
        self.timer: timers.Timer | None = None
        if self.unit and name.endswith(".timer"):
            self.timer = timers.Timer(self.unit, find)
        self._on = on_off.is_on(self.name, from_boot)
        self.path = unitfile.find(self.name) or ""
        self.script = "" if self.unit else script_of(name)
        if self.unit or self.script:
            self.load = "loaded"
        else:
            self.load = "masked" if install.first(name) else "not-found"

    @property
    def active(self) -> tuple[str, str]:
        """ActiveState and SubState."""
        if not self.name.endswith(SERVICE):
            word = "waiting" if self.timer else "active"
            return ("active", word) if self._on and self.unit else NONE
        if self.state is None:
            return NONE
        if self.state.restarts:
            return "activating", "auto-restart"
        return STATES[self.state.state]

    def last(self, section: str, key: str, default: str = "") -> str:
        return self.unit.last(section, key, default) if self.unit else default

    def words(self, section: str, key: str) -> list[str]:
        return self.unit.words(section, key) if self.unit else []

    @property
    def description(self) -> str:
        if self.script:
            lines = fds.read_text(self.script).splitlines()
            short = [line.partition(":")[2].strip() for line in lines if line.startswith("# Short-Description:")]
            return f"LSB: {short[0] if short else self.name}"
        return self.last("Unit", "Description", self.name)

    @property
    def file_state(self) -> str:
        if self.script:
            return "generated"
        try:
            return install.state(self.name)
        except OSError:
            return ""

    def times(self, key: str) -> int:
        """Microseconds of CLOCK_REALTIME: since when it is in this state, up, down."""
        return int(getattr(self.state, key)) if self.state else 0


def script_of(name: str) -> str:
    """The init script that stands for a service without a unit; a mask is one."""
    if install.first(name):
        return ""
    path = f"{INIT_SCRIPTS}/{name.removesuffix(SERVICE)}"
    return path if name.endswith(SERVICE) and "@" not in name and fds.is_program(path) else ""


def monotonic(realtime: int) -> int:
    """The same moment on CLOCK_MONOTONIC, us."""
    return max(0, realtime - (time.time_ns() - time.monotonic_ns()) // 1000) if realtime else 0


def stamp(name: str, find: "Callable[[View], int]") -> "tuple[Row, Row]":
    """A timestamp is two properties."""
    return (name, "t", find), (f"{name}Monotonic", "t", lambda view: monotonic(find(view)))


def dependencies(key: str) -> "Row":
    return key, "as", lambda view: view.words("Unit", key)


def is_up(view: View) -> bool:
    return view.active[0] == "active"


UNIT: "tuple[Row, ...]" = (
    ("Id", "s", lambda view: view.name),
    ("Names", "as", lambda view: [view.name]),
    ("Following", "s", lambda view: ""),
    ("Description", "s", lambda view: view.description),
    ("Documentation", "as", lambda view: view.words("Unit", "Documentation")),
    ("LoadState", "s", lambda view: view.load),
    ("ActiveState", "s", lambda view: view.active[0]),
    ("SubState", "s", lambda view: view.active[1]),
    ("FragmentPath", "s", lambda view: view.path),
    ("SourcePath", "s", lambda view: view.script),
    ("DropInPaths", "as", lambda view: unitfile.drop_ins(view.name)),
    ("UnitFileState", "s", lambda view: view.file_state),
    ("UnitFilePreset", "s", lambda view: "enabled" if view.path else ""),
    *stamp("StateChangeTimestamp", lambda view: view.times("since")),
    *stamp("ActiveEnterTimestamp", lambda view: view.times("up_since")),
    *stamp("InactiveExitTimestamp", lambda view: view.times("main_since")),
    *stamp("ActiveExitTimestamp", lambda view: 0 if is_up(view) else view.times("down_since")),
    *stamp("InactiveEnterTimestamp", lambda view: view.times("down_since")),
    ("CanStart", "b", lambda view: not unitfile.is_true(view.last("Unit", "RefuseManualStart"))),
    ("CanStop", "b", lambda view: not unitfile.is_true(view.last("Unit", "RefuseManualStop"))),
    ("CanReload", "b", lambda view: bool(view.unit and view.unit.all("Service", "ExecReload"))),
    ("CanIsolate", "b", lambda view: unitfile.is_true(view.last("Unit", "AllowIsolate"))),
    ("Job", "(uo)", lambda view: (0, "/")),
    ("NeedDaemonReload", "b", lambda view: False),
    ("LoadError", "(ss)", lambda view: LOAD_ERRORS.get(view.load, ("", ""))),
    ("Transient", "b", lambda view: False),
    ("ConditionResult", "b", lambda view: not (view.unit and conditions.unmet(view.unit))),
    ("AssertResult", "b", lambda view: True),
    *(dependencies(key) for key in DEPENDENCIES),
    ("WantedBy", "as", lambda view: view.words("Install", "WantedBy")),
    ("RequiredBy", "as", lambda view: view.words("Install", "RequiredBy")),
    ("TriggeredBy", "as", lambda view: triggers(view.name)),
    ("Triggers", "as", lambda view: [view.timer.starts] if view.timer else []),
)


def from_state(key: str) -> "Callable[[View], Any]":
    return lambda view: getattr(view.state, key) if view.state else 0


def span(key: str) -> "Callable[[View], int]":
    """A timeout in microseconds; 2**64-1 is none."""

    def found(view: View) -> int:
        seconds = units.limit(view.last("Service", key, view.last("Service", "TimeoutSec")), False)
        return (1 << 64) - 1 if seconds >= unitfile.FOREVER else int(seconds * 1e6)

    return found


def how_it_ended(view: View) -> tuple[int, int]:
    """ExecMainCode and ExecMainStatus."""
    if view.state is None or view.state.main or not view.state.down_since:
        return 0, 0
    return (CLD_KILLED, view.state.signal) if view.state.signal else (CLD_EXITED, view.state.code)


def kind(view: View) -> str:
    wanted = view.last("Service", "Type", "forking" if view.script else "simple")
    return wanted if wanted in TYPES else "simple"


SERVICE_ROWS: "tuple[Row, ...]" = (
    ("Type", "s", kind),
    ("Restart", "s", lambda view: view.last("Service", "Restart", "no")),
    ("NotifyAccess", "s", lambda view: view.last("Service", "NotifyAccess", "none")),
    ("MainPID", "u", from_state("main")),
    ("ControlPID", "u", from_state("control")),
    ("ExecMainPID", "u", from_state("main")),
    ("ExecMainCode", "i", lambda view: how_it_ended(view)[0]),
    ("ExecMainStatus", "i", lambda view: how_it_ended(view)[1]),
    *stamp("ExecMainStartTimestamp", lambda view: view.times("main_since")),
    *stamp("ExecMainExitTimestamp", lambda view: view.times("down_since") if how_it_ended(view)[0] else 0),
    ("StatusText", "s", lambda view: view.state.status if view.state else ""),
    ("StatusErrno", "i", lambda view: 0),
    ("Result", "s", lambda view: view.state.result if view.state else "success"),
    ("NRestarts", "u", from_state("count")),
    ("RemainAfterExit", "b", lambda view: unitfile.is_true(view.last("Service", "RemainAfterExit"))),
    ("PIDFile", "s", lambda view: view.last("Service", "PIDFile")),
    ("KillMode", "s", lambda view: view.last("Service", "KillMode", "control-group")),
    ("TimeoutStartUSec", "t", span("TimeoutStartSec")),
    ("TimeoutStopUSec", "t", span("TimeoutStopSec")),
    ("User", "s", lambda view: view.last("Service", "User")),
    ("Group", "s", lambda view: view.last("Service", "Group")),
    ("WorkingDirectory", "s", lambda view: view.last("Service", "WorkingDirectory")),
    ("Slice", "s", lambda view: "system.slice"),
    ("ControlGroup", "s", lambda view: group(view)),
)


def group(view: View) -> str:
    """The path of its cgroup inside the container."""
    return view.state.group.removeprefix("/sys/fs/cgroup") if view.state and is_up(view) else ""


TIMER_ROWS: "tuple[Row, ...]" = (
    ("Unit", "s", lambda view: view.timer.starts if view.timer else ""),
    ("NextElapseUSecRealtime", "t", lambda view: next_elapse(view)),
    ("NextElapseUSecMonotonic", "t", lambda view: 0),
    *stamp("LastTriggerUSec", lambda view: int(view.timer.last() * 1e6) if view.timer else 0),
    ("Persistent", "b", lambda view: unitfile.is_true(view.last("Timer", "Persistent"))),
    ("Result", "s", lambda view: "success"),
)


def next_elapse(view: View) -> int:
    """When the timer is due, us since the epoch; 0: never."""
    moment = view.timer.next() if view.timer and is_up(view) else timers.FOREVER
    return 0 if moment == timers.FOREVER else int(moment * 1e6)


def triggers(name: str) -> list[str]:
    """The timers that start *name*."""
    return [timer.name for timer in timers.active() if timer.starts == name] if name.endswith(SERVICE) else []


INTERFACES = {
    "org.freedesktop.systemd1.Service": SERVICE_ROWS,
    "org.freedesktop.systemd1.Timer": TIMER_ROWS,
    "org.freedesktop.systemd1.Unit": UNIT,
}


def properties(view: View, interface: str) -> "dict[str, tuple[str, Any]]":
    """Name -> (signature, value); of all interfaces for an empty one."""
    own = view.name.rpartition(".")[2].capitalize()
    fitting = (name for name in INTERFACES if name.rpartition(".")[2] in (own, "Unit"))
    rows = [row for name in fitting if interface in ("", name) for row in INTERFACES[name]]
    return {name: (signature, find(view)) for name, signature, find in rows}


def view_of(state: "State") -> View:
    """PID 1 has names without a suffix for what is no unit."""
    return View(state.name if state.name.endswith(SERVICE) else state.name + SERVICE, state)


def at_boot() -> set[str]:
    """The units without processes that the default target pulls in, itself included."""
    found: set[str] = set()
    waiting = [DEFAULT_TARGET, *ALWAYS_UP]
    while waiting:
        name = waiting.pop()
        unit = unitfile.load(name) if name.endswith(PASSIVE) and name not in found else None
        if unit and not conditions.unmet(unit) and units.is_ours(name):
            found.add(unit.name)
            if not name.endswith(TARGET):
                continue
            waiting += [*unitfile.wanted_by_links(name), *unit.words("Unit", "Wants"), *unit.words("Unit", "Requires")]
    return found
