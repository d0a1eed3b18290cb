"""The helper of one `systemctl`: systemd's D-Bus interface on the private socket, as far as a server's owner uses it.

A child of PID 1 that serves one connection and ends with it.  What it does not know it refuses by name, and the client
says so.
"""

import select

from vzinit import dbus, dbus_message, generators, install, on_off, service, unit_lists, unit_view, unitfile, units
from vzinit.dbus_message import Message
from vzinit.dbus_wire import BadMessage
from vzinit.jobs import INVALID, Jobs, NotHere, key
from vzinit.pid_one import PidOne, Refused
from vzinit.unit_names import name_of, path_of
from vzinit.unit_view import DEFAULT_TARGET, SERVICE, View, at_boot, view_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


ROOT = "/org/freedesktop/systemd1"
MANAGER = "org.freedesktop.systemd1.Manager"
PROPERTIES = "org.freedesktop.DBus.Properties"
NO_UNIT = "org.freedesktop.systemd1.NoSuchUnit"
BAD_ARGUMENTS = "org.freedesktop.DBus.Error.InvalidArgs"


def serve(client: int, pid_1: int) -> None:
    """Answer until the client has gone or PID 1 is on its way down, and end what was begun."""
    import _socket

    helper = Manager(dbus.Connection(_socket.socket(fileno=client)), PidOne(pid_1))
    poll = select.poll()
    for end in (client, pid_1):
        poll.register(end, select.POLLIN)
    try:
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if client in ready:
                helper.read()
            if pid_1 in ready:
                helper.hear()
            helper.tell()
    except (EOFError, BadMessage, Refused):
        helper.finish()


class Manager:
    """The object of the manager, and those of the units below it."""

    def __init__(self, connection: dbus.Connection, pid_1: PidOne) -> None:
        self._connection = connection
        self._pid_1 = pid_1
        self._jobs = Jobs(pid_1)
        self._names: dict[int, str] = {}  # of the units, by job
        self._at_once = 1 << 20  # numbers of jobs that PID 1 has never heard of

    def read(self) -> None:
        for message in self._connection.receive():
            answer = self._answer(message) if message.kind == dbus_message.CALL else None
            if answer and message.wants_reply():
                self._connection.send(answer)
            self.tell()

    def hear(self) -> None:
        self._pid_1.hear()

    def finish(self) -> None:
        """The client has gone, or PID 1 is on its way down."""
        try:
            self._pid_1.finish()
        except (EOFError, OSError):
            pass

    def tell(self) -> None:
        """The client hears of jobs that are over."""
        while self._pid_1.over:
            number, result = self._pid_1.over.pop(0)
            name = self._names.pop(number, "")
            arguments = (number, f"{ROOT}/job/{number}", name, result)
            self._connection.send(dbus_message.signal(ROOT, MANAGER, "JobRemoved", "uoss", *arguments))

    def _answer(self, message: Message) -> Message:
        handler = METHODS.get(message.member) if message.interface in (MANAGER, "") else None
        try:
            if message.interface == PROPERTIES:
                return self._properties(message)
            if handler is None:
                text = f"Unknown method {message.member} of {message.interface}."
                return message.error("org.freedesktop.DBus.Error.UnknownMethod", text)
            signature, call = handler
            found = call(self, *message.body)
            return message.method_return(signature, *found) if signature else message.method_return()
        except Refused as refusal:
            return message.error("org.freedesktop.DBus.Error.Failed", str(refusal))
        except NotHere as refusal:
            return message.error(*refusal.args)
        except install.NoUnit as error:
            return message.error("org.freedesktop.DBus.Error.FileNotFound", error.strerror or "")
        except install.Masked as error:
            return message.error("org.freedesktop.systemd1.UnitMasked", error.strerror or "")
        except OSError as error:
            return message.error("org.freedesktop.DBus.Error.Failed", f"{error.filename}: {error.strerror}")
        except (TypeError, ValueError, KeyError) as error:
            return message.error(BAD_ARGUMENTS, f"{message.member}: {error}")

    # Properties.

    def _properties(self, message: Message) -> Message:
        interface = message.body[0]
        if message.path == ROOT:
            found = self._own()
        else:
            found = unit_view.properties(self._view(name_of(message.path)), interface)
        if message.member == "GetAll":
            return message.method_return("a{sv}", found)
        if message.body[1] not in found:
            return message.error("org.freedesktop.DBus.Error.UnknownProperty", f"Unknown property {message.body[1]}.")
        return message.method_return("v", found[message.body[1]])

    def _own(self) -> "dict[str, tuple[str, Any]]":
        views = [view_of(state) for state in self._pid_1.states().values()]
        failed = sum(view.active[0] == "failed" for view in views)
        return {
            "Version": ("s", "vzhost"),
            "Features": ("s", ""),
            "Virtualization": ("s", "container-other"),
            "SystemState": ("s", system_state(views, failed)),
            "NFailedUnits": ("u", failed),
            "NJobs": ("u", len(self._names)),
            "NNames": ("u", len(views)),
            "UnitPath": ("as", list(unitfile.DIRECTORIES)),
            "Environment": ("as", []),
            "ControlGroup": ("s", ""),
        }

    def _view(self, name: str) -> View:
        states = self._pid_1.states()
        state = states.get(key(name, states))
        if state and state.state == service.STOPPED and state.name not in units.closure(DEFAULT_TARGET):
            state = None  # systemd forgets what is down and nobody wants
        from_boot = not name.endswith(SERVICE) and name in at_boot()
        return View(name, state, from_boot, lambda other: states.get(key(other, states)))

    # Units.

    def _get_unit(self, name: str) -> "list[Any]":
        view = self._view(name)
        if view.state is None and view.active[0] != "active":
            raise NotHere(NO_UNIT, f"Unit {name} not loaded.")
        return [path_of(view.name)]

    def _load_unit(self, name: str) -> "list[Any]":
        return [path_of(name)]

    def _unit_by_pid(self, pid: int) -> "list[Any]":
        from vzinit import cgroup

        name = cgroup.unit_of(pid)
        if not name:
            raise NotHere("org.freedesktop.systemd1.NoUnitForPID", f"PID {pid} does not belong to any loaded unit.")
        return [path_of(name)]

    def _list_units(self, states: "list[str]" = [], patterns: "list[str]" = []) -> "list[Any]":  # noqa: B006
        boot = at_boot()
        views = [view_of(state) for state in self._pid_1.states().values()]
        views += [View(name, None, name in boot) for name in sorted({*boot, *on_off.names()})]
        there = (view for view in views if view.state or view.active[0] == "active")
        return [[unit_lists.row(view) for view in there if unit_lists.chosen(view, states, patterns)]]

    def _list_by_names(self, names: "list[str]") -> "list[Any]":
        return [[unit_lists.row(self._view(name)) for name in names]]

    def _list_files(self, states: "list[str]" = [], patterns: "list[str]" = []) -> "list[Any]":  # noqa: B006
        return [unit_lists.files(states, patterns)]

    def _processes(self, name: str) -> "list[Any]":
        return [unit_lists.processes(self._view(name))]

    def _kill(self, name: str, whom: str, number: int) -> "list[Any]":
        states = self._pid_1.states()
        if key(name, states) not in states or not self._pid_1.kill(key(name, states), whom, number):
            raise NotHere("org.freedesktop.systemd1.NoSuchProcess", f"No {whom} process to kill")
        return []

    def _reset_failed(self, name: str = "") -> "list[Any]":
        states = self._pid_1.states()
        if name and key(name, states) not in states:
            raise NotHere(NO_UNIT, f"Unit {name} not loaded.")
        self._pid_1.forgive([key(name, states)] if name else [])
        return []

    # Jobs.

    def _job(self, name: str, number: int) -> "list[Any]":
        if number <= 0:
            result = "invalid" if number == INVALID else "done"
            self._at_once += 1
            number = self._at_once
            self._pid_1.over.append((number, result))
        self._names[number] = name
        return [f"{ROOT}/job/{number}"]

    def _start(self, name: str, mode: str = "replace") -> "list[Any]":
        return self._job(name, self._jobs.isolate(name) if mode == "isolate" else self._jobs.start(name))

    def _stop(self, name: str, _mode: str = "replace") -> "list[Any]":
        return self._job(name, self._jobs.stop(name))

    def _restart(self, name: str, _mode: str = "replace") -> "list[Any]":
        return self._job(name, self._jobs.restart(name))

    def _try_restart(self, name: str, _mode: str = "replace") -> "list[Any]":
        return self._job(name, self._jobs.restart(name, only_if_up=True))

    def _reload_unit(self, name: str, _mode: str = "replace") -> "list[Any]":
        return self._job(name, self._jobs.reload(name))

    def _reload_or_restart(self, name: str, _mode: str = "replace") -> "list[Any]":
        view = self._view(name)
        able = view.unit is not None and bool(view.unit.all("Service", "ExecReload")) and view.active[0] == "active"
        return self._job(name, self._jobs.reload(name) if able else self._jobs.restart(name))

    def _reload_or_try_restart(self, name: str, mode: str = "replace") -> "list[Any]":
        up = self._view(name).active[0] == "active"
        return self._reload_or_restart(name, mode) if up else self._job(name, 0)

    def _daemon_reload(self) -> "list[Any]":
        """Unit files are read at each job: only what writes them has to be run."""
        generators.run()
        return []

    def _down(self, how: str) -> "list[Any]":
        self._pid_1.down(how)
        return []

    # Unit files.

    def _enable(self, names: "list[str]", runtime: bool, force: bool) -> "list[Any]":
        carries, changes = install.enable(names, runtime, force)
        return [carries, changes]

    def _reenable(self, names: "list[str]", runtime: bool, force: bool) -> "list[Any]":
        gone = install.disable(names, runtime)
        carries, changes = install.enable(names, runtime, force)
        return [carries, [*gone, *changes]]


def system_state(views: list[View], failed: int) -> str:
    if any(view.state and view.state.starting for view in views):
        return "starting"
    return "degraded" if failed else "running"


# Method: signature of the answer, what answers.
METHODS: "dict[str, tuple[str, Callable[..., list[Any]]]]" = {
    "GetUnit": ("o", Manager._get_unit),
    "LoadUnit": ("o", Manager._load_unit),
    "GetUnitByPID": ("o", Manager._unit_by_pid),
    "ListUnits": ("a(ssssssouso)", Manager._list_units),
    "ListUnitsFiltered": ("a(ssssssouso)", Manager._list_units),
    "ListUnitsByPatterns": ("a(ssssssouso)", Manager._list_units),
    "ListUnitsByNames": ("a(ssssssouso)", Manager._list_by_names),
    "ListUnitFiles": ("a(ss)", Manager._list_files),
    "ListUnitFilesByPatterns": ("a(ss)", Manager._list_files),
    "ListJobs": ("a(usssoo)", lambda _self: [[]]),
    "GetUnitProcesses": ("a(sus)", Manager._processes),
    "StartUnit": ("o", Manager._start),
    "StopUnit": ("o", Manager._stop),
    "RestartUnit": ("o", Manager._restart),
    "TryRestartUnit": ("o", Manager._try_restart),
    "ReloadUnit": ("o", Manager._reload_unit),
    "ReloadOrRestartUnit": ("o", Manager._reload_or_restart),
    "ReloadOrTryRestartUnit": ("o", Manager._reload_or_try_restart),
    "KillUnit": ("", Manager._kill),
    "ResetFailed": ("", Manager._reset_failed),
    "ResetFailedUnit": ("", Manager._reset_failed),
    "Subscribe": ("", lambda _self: []),
    "Unsubscribe": ("", lambda _self: []),
    "Reload": ("", Manager._daemon_reload),
    "Reexecute": ("", lambda _self: []),
    "Reboot": ("", lambda self: self._down("reboot")),
    "PowerOff": ("", lambda self: self._down("poweroff")),
    "Halt": ("", lambda self: self._down("halt")),
    "GetUnitFileState": ("s", lambda _self, name: [install.state(name)]),
    "GetUnitFileLinks": ("as", lambda _self, name, runtime: [install.links_to([name], runtime)]),
    "GetDefaultTarget": ("s", lambda _self: [DEFAULT_TARGET]),
    "EnableUnitFiles": ("ba(sss)", Manager._enable),
    "EnableUnitFilesWithFlags": ("ba(sss)", lambda self, names, flags: self._enable(names, flags & 1, flags & 2)),
    "DisableUnitFiles": ("a(sss)", lambda _self, names, runtime: [install.disable(names, runtime)]),
    "DisableUnitFilesWithFlags": ("a(sss)", lambda _self, names, flags: [install.disable(names, flags & 1)]),
    "DisableUnitFilesWithFlagsAndInstallInfo": (
        "ba(sss)", lambda _self, names, flags: [True, install.disable(names, flags & 1)],
    ),
    "ReenableUnitFiles": ("ba(sss)", Manager._reenable),
    "MaskUnitFiles": ("a(sss)", lambda _self, names, runtime, force: [install.mask(names, runtime, force)]),
    "UnmaskUnitFiles": ("a(sss)", lambda _self, names, runtime: [install.unmask(names, runtime)]),
}  # fmt: skip
