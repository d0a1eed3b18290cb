"""What starting, stopping and the like of a unit means for others: whole jobs, from names to orders to PID 1.

Runs in the helper of systemctl.  Unit files are read at each job, so what they say now is what is done.
"""

from vzinit import conditions, on_off, rclinks, unit_values, unitfile, units
from vzinit.service import OVER
from vzinit.unit_view import PASSIVE, SERVICE, TARGET, View, at_boot, script_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vzinit.pid_one import Order, PidOne, State

# Targets that are a way down; systemd's special units, and those of sysvinit's runlevels.
WAYS_DOWN = {
    "reboot.target": "reboot", "kexec.target": "reboot", "soft-reboot.target": "reboot",
    "ctrl-alt-del.target": "reboot", "runlevel6.target": "reboot", "poweroff.target": "poweroff",
    "runlevel0.target": "poweroff", "halt.target": "halt", "exit.target": "poweroff", "shutdown.target": "poweroff",
}  # fmt: skip
STOPS_WITH = ("Requires", "BindsTo", "PartOf")  # a unit that has one of these goes down with the other
INVALID = -1  # instead of the number of a job: it makes no sense now


class NotHere(Exception):
    """The unit cannot be started: (name of the D-Bus error, text)."""


class Jobs:
    """Orders for PID 1.  Each method returns the number of the job, 0 when there was nothing to do."""

    def __init__(self, pid_1: "PidOne") -> None:
        self._pid_1 = pid_1

    def start(self, name: str) -> int:
        if name in WAYS_DOWN:
            self._pid_1.down(WAYS_DOWN[name])
            return 0
        if name.endswith(PASSIVE):
            check_loaded(name)
            if not is_on(name):
                on_off.switch(name, True)
        if name.endswith(".timer"):
            self._pid_1.wake(0)
            return 0
        states = self._pid_1.states()
        wanted = self._learn(name, states)
        main = key(name, states)
        return self._pid_1.job("start", wanted, main if main in wanted else wanted[-1]) if wanted else 0

    def restart(self, name: str, only_if_up: bool = False) -> int:
        if name.endswith(PASSIVE):
            check_loaded(name)
            if is_on(name) or not only_if_up:
                on_off.switch(name, True)
                return self.start(name)
            return 0
        states = self._pid_1.states()
        if only_if_up and not is_up(name, states):
            return 0
        wanted = self._learn(name, states)
        if key(name, states) not in wanted and not is_up(name, states):
            return 0  # its conditions do not hold
        states = self._pid_1.states()
        main = key(name, states)
        going = going_with(name, states)
        pulled = [one for one in wanted if one not in going]
        if all(map(may_start, going)):
            return self._pid_1.job("restart", going, pulled, main)
        return self._pid_1.job("stop", going, main, then=lambda: self._start_again([*pulled, *going], main))

    def _start_again(self, names: list[str], main: str) -> "Order":
        """The second half of a restart.  Conditions are looked at now: the stop may have made them hold."""
        able = [one for one in names if may_start(one)]
        if main in able:
            return "start", able, main
        if able:
            self._pid_1.job("start", able, able[0])
        return ()

    def stop(self, name: str) -> int:
        states = self._pid_1.states()
        if View(name, None).load == "not-found":
            raise NotHere("org.freedesktop.systemd1.NoSuchUnit", f"Unit {name} not loaded.")
        if name.endswith(PASSIVE):
            on_off.switch(name, False)
        if key(name, states) not in states:
            return 0
        return self._pid_1.job("stop", going_with(name, states), key(name, states))

    def reload(self, name: str) -> int:
        states = self._pid_1.states()
        check_loaded(name)
        unit = unitfile.load(name)
        if unit and not unit.all("Service", "ExecReload"):
            text = f"Job type reload is not applicable for unit {name}."
            raise NotHere("org.freedesktop.systemd1.JobTypeNotApplicable", text)
        if not is_up(name, states):
            return INVALID
        self._learn(name, states)
        return self._pid_1.job("reload", key(name, states))

    def isolate(self, name: str) -> int:
        """Only what *name* pulls in stays."""
        if name in WAYS_DOWN:
            return self.start(name)
        check_loaded(name)
        states = self._pid_1.states()
        stay = {key(one, states) for one in units.closure(name)}
        going = [one for one, state in states.items() if one not in stay and one.endswith(SERVICE)]
        if going:
            self._pid_1.job("stop", going, going[0])
        return self.start(name)

    def _learn(self, name: str, states: "dict[str, State]") -> list[str]:
        """Tell PID 1 of *name* and all that it pulls in, as the files say now; the services that are to be up.

        Raises NotHere.
        """
        check_loaded(name)
        if not name.endswith((SERVICE, TARGET, ".socket")):
            raise not_supported(name, f"it has no {name.rpartition('.')[2]} units")
        if path := script_of(name) if unitfile.load(name) is None else "":
            script = rclinks.script(name.removesuffix(SERVICE), path, [])
            self._pid_1.learn([script], [])
            return [script.name]
        pulled = units.closure(name)
        loaded = [unit_values.load(one) for one in states if one.endswith(SERVICE)]
        known = {unit.name: unit for unit in loaded if unit and unit.name in states}
        everything = known | pulled
        made = {one: units.attempt(unit) for one, unit in everything.items()}
        plans = [one for one in made.values() if not isinstance(one, str)]
        units.order(plans, everything)
        self._pid_1.learn(plans, [text for unit in pulled.values() for text in unit.complaints])
        able = {one.name for one in plans}
        itself = key(name, states)
        if name.endswith(SERVICE) and itself not in able:
            raise not_supported(name, str(made.get(itself, "it is of systemd's own")))
        return [one for one, unit in pulled.items() if one in able and not conditions.unmet(unit)]


def not_supported(name: str, why: str) -> NotHere:
    return NotHere("org.freedesktop.DBus.Error.NotSupported", f"INIT=vz does not run {name}: {why}.")


def check_loaded(name: str) -> None:
    """Raises NotHere for what is not there, or masked."""
    view = View(name, None)
    if view.load == "masked":
        raise NotHere("org.freedesktop.systemd1.UnitMasked", f"Unit {name} is masked.")
    if view.load == "not-found" and name not in WAYS_DOWN:
        raise NotHere("org.freedesktop.systemd1.NoSuchUnit", f"Unit {name} not found.")


def key(name: str, states: "dict[str, State]") -> str:
    """What PID 1 calls the unit *name*: an init script has no suffix there, an alias its real name."""
    bare = name.removesuffix(SERVICE)
    unit = unitfile.load(name)
    if unit is None and (bare in states or script_of(name)):
        return bare
    return unit.name if unit else name


def is_on(name: str) -> bool:
    """A unit without processes is active."""
    return View(name, None, name in at_boot()).active[0] == "active"


def may_start(name: str) -> bool:
    """Its conditions hold, or it has none."""
    unit = unitfile.load(name)
    return unit is None or not conditions.unmet(unit)


def is_up(name: str, states: "dict[str, State]") -> bool:
    state = states.get(key(name, states))
    return state is not None and state.state not in OVER


def going_with(name: str, states: "dict[str, State]") -> list[str]:
    """*name* and the services that are up and cannot be without it."""
    found = [key(name, states)]
    for wanted in found:
        for other in states:
            unit = unitfile.load(other) if other not in found and is_up(other, states) else None
            if unit and any(wanted in unit.words("Unit", word) for word in STOPS_WITH):
                found.append(other)
    return found
