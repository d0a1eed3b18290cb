"""systemd units -> services: what multi-user.target wants, as far as vzinit can run it.  Runs in the planner.

A unit that needs what vzinit does not have (a process for each connection, a type that nobody knows) is left to the
init script of the same name, if the package has one, and noted otherwise.
"""

from vzinit import conditions, listen, on_off, unit_values, unitfile
from vzinit.plan import BootPlan, Command, ServicePlan
from vzinit.unitfile import Unit, seconds

TARGET = "multi-user.target"
# Work of the host, of real hardware, or of systemd itself.
NOT_OURS = (
    "systemd-", "getty", "console-", "keyboard-", "serial-getty", "autovt", "e2scrub", "networking.", "ifup",
    "kmod",
    "fstrim.", "hwclock", "udev", "plymouth", "quota", "rescue", "emergency", "dm-event",
    "lvm2", "open-iscsi",
)  # fmt: skip
OURS_ALL_THE_SAME = ("systemd-tmpfiles-clean.",)
KINDS = {
    "": "simple", "simple": "simple", "exec": "simple", "idle": "simple", "notify": "notify",
    "notify-reload": "notify", "dbus": "simple",
    "forking": "forking", "oneshot": "oneshot",
}  # fmt: skip
# Keys that `prepare` needs; the rest (sandboxing, slices, limits of the whole unit) does not apply here.
FOR_PREPARE = (
    "User", "Group", "SupplementaryGroups", "Environment", "EnvironmentFile", "WorkingDirectory",
    "UMask", "IgnoreSIGPIPE",
    "RuntimeDirectory", "RuntimeDirectoryMode", "StateDirectory", "StateDirectoryMode", "CacheDirectory",
    "CacheDirectoryMode", "LogsDirectory", "LogsDirectoryMode",
    "ConfigurationDirectory", "ConfigurationDirectoryMode",
    "OOMScoreAdjust", "Nice", "LimitNOFILE", "LimitCORE", "LimitMEMLOCK", "LimitNPROC",
    "StandardOutput", "StandardError",
)  # fmt: skip
# With it the bus waits 25 s for systemd to start logind and its kind; without, it runs what the service file says.
BUS_ASKS_SYSTEMD = "--systemd-activation"
DEFAULT_TIMEOUT = 90.0  # systemd's DefaultTimeoutStartSec and DefaultTimeoutStopSec


def from_image(plan: BootPlan) -> set[str]:
    """Add what the image wants at boot; answers the names that an init script need not repeat."""
    units = closure(TARGET)
    covered = set()
    for unit in units.values():
        made = attempt(unit)
        plan.notes += unit.complaints
        if isinstance(made, str):
            plan.notes.append(f"{unit.name}: not run: {made}")
            continue
        covered |= names_of(unit)
        if unmet := conditions.unmet(unit):
            plan.notes.append(f"{unit.name}: not run: {unmet}")
        else:
            plan.services.append(made)
    order([service for service in plan.services if service.name in units], units)
    return covered


def is_ours(name: str) -> bool:
    """Somebody in the container wants it, not the machine that a container has not got."""
    return not name.startswith(NOT_OURS) or name.startswith(OURS_ALL_THE_SAME)


def closure(target: str) -> dict[str, Unit]:
    """The services that *target* pulls in, by name.

    Targets are followed through, and a socket stands for its service; other kinds are not.
    """
    units: dict[str, Unit] = {}
    seen = set()
    waiting = [target]
    while waiting:
        name = waiting.pop(0)
        if name in seen or not is_ours(name):
            continue
        seen.add(name)
        unit = unit_values.load(name) if name.endswith((".service", ".target", ".socket")) else None
        if unit is None or unit.name in units:
            continue
        if unit.name.endswith(".service"):
            units[unit.name] = unit
        elif unit.name.endswith(".socket") and not unitfile.is_true(unit.last("Socket", "Accept")):
            waiting.append(service_of(unit))
        wanted = unitfile.wanted_by_links(unit.name)
        waiting += [
            *wanted,
            *unit.words("Unit", "Wants"),
            *unit.words("Unit", "Requires"),
            *unit.words("Unit", "BindsTo"),
        ]
    return units


def unsupported(unit: Unit) -> str:
    """Why this unit cannot be run here; "" when it can."""
    kind = unit.last("Service", "Type")
    if kind not in KINDS:
        return f"Type={kind}"
    if any(unitfile.is_true(socket.last("Socket", "Accept")) for socket in sockets_of(unit)):
        return "it is started for each connection"
    if not unit.all("Service", "ExecStart"):
        return "no ExecStart"
    return ""


def attempt(unit: Unit) -> ServicePlan | str:
    """Its plan, or why it has none."""
    try:
        return unsupported(unit) or planned(unit)
    except ValueError as error:
        return f"it cannot be read: {error}"


def names_of(unit: Unit) -> set[str]:
    """How an init script of the same service may be called: the unit's name and its aliases."""
    aliases = [unit.name, *unit.words("Install", "Alias")]
    return {alias.removesuffix(".service") for alias in aliases}


def planned(unit: Unit) -> ServicePlan:
    """The plan of one unit."""
    kind = KINDS[unit.last("Service", "Type")]
    timeout = unit.last("Service", "TimeoutSec")
    return ServicePlan(
        unit.name,
        kind,
        commands(unit, "ExecStart"),
        pre=[*commands(unit, "ExecCondition"), *commands(unit, "ExecStartPre")],
        post=commands(unit, "ExecStartPost"),
        reload=commands(unit, "ExecReload"),
        stop=commands(unit, "ExecStop"),
        stop_post=commands(unit, "ExecStopPost"),
        remain=unitfile.is_true(unit.last("Service", "RemainAfterExit")),
        grouped=True,
        requires=[*unit.words("Unit", "Requires"), *unit.words("Unit", "BindsTo")],
        pid_file=unit.last("Service", "PIDFile"),
        restart=unit.last("Service", "Restart", "no"),
        restart_delay=seconds(unit.last("Service", "RestartSec"), 0.1),
        no_restart_on=unit.words("Service", "RestartPreventExitStatus"),
        restart_on=unit.words("Service", "RestartForceExitStatus"),
        success_on=unit.words("Service", "SuccessExitStatus"),
        burst=int(unit.last("Unit", "StartLimitBurst", "5")),
        interval=seconds(unit.last("Unit", "StartLimitIntervalSec"), 10.0),
        kill_mode=unit.last("Service", "KillMode", "control-group"),
        kill_signal=unit_values.signal(unit.last("Service", "KillSignal", "SIGTERM")),
        start_timeout=limit(unit.last("Service", "TimeoutStartSec", timeout), kind == "oneshot"),
        stop_timeout=limit(unit.last("Service", "TimeoutStopSec", timeout), False),
        options=options(unit),
    )


def options(unit: Unit) -> dict[str, list[str]]:
    """What `prepare` is to know of the unit, and of its sockets."""
    found = {key: unit.all("Service", key) for key in FOR_PREPARE if unit.all("Service", key)}
    for socket in sockets_of(unit):
        unit.complaints += socket.complaints
        found.setdefault("Listen", []).extend(listen.described(socket))
    return found


def sockets_of(unit: Unit) -> list[Unit]:
    """The socket units that belong to a service: those that it names, and the one of its name if it is wanted."""
    names = [name for name in unit.words("Unit", "Requires") if name.endswith(".socket")]
    names += unit.words("Service", "Sockets")
    own = unit.name.removesuffix(".service") + ".socket"
    if on_off.is_on(own, own in unitfile.wanted_by_links("sockets.target")):
        names.append(own)
    found = (unit_values.load(name) for name in dict.fromkeys(names) if is_ours(name))
    return [socket for socket in found if socket and service_of(socket) == unit.name]


def service_of(socket: Unit) -> str:
    """The service of a socket unit, by its real name."""
    name = socket.last("Socket", "Service", socket.name.removesuffix(".socket") + ".service")
    unit = unitfile.load(name)
    return unit.name if unit else name


def limit(text: str, forever: bool) -> float:
    """A timeout: 0 means none; without one, DEFAULT_TIMEOUT, or none for a oneshot."""
    value = seconds(text, unitfile.FOREVER if forever else DEFAULT_TIMEOUT)
    return value or unitfile.FOREVER


def commands(unit: Unit, key: str) -> list[Command]:
    """The command lines of one key, prefixes cut off.  `@` names argv[0] apart from the program."""
    found = []
    for line in unit.all("Service", key):
        rest = line.lstrip("-@:+!|")
        flags = line[: len(line) - len(rest)]
        words = [word for word in unitfile.split(rest) if word != BUS_ASKS_SYSTEMD]
        if words and "@" in flags and len(words) > 1:
            found.append(Command(words[1:], flags, words[0]))
        elif words:
            found.append(Command(words, flags))
    return found


def order(services: list[ServicePlan], units: dict[str, Unit]) -> None:
    """Fill `after` from After= and Before=; what would close a circle is left out."""
    after: dict[str, set[str]] = {service.name: set() for service in services}
    for name in after:
        for other in units[name].words("Unit", "After"):
            link_order(after, name, other)
        for other in units[name].words("Unit", "Before"):
            link_order(after, other, name)
    for service in services:
        service.after = sorted(after[service.name])


def link_order(after: dict[str, set[str]], later: str, earlier: str) -> None:
    if later in after and earlier in after and not reaches(after, earlier, later):
        after[later].add(earlier)


def reaches(after: dict[str, set[str]], start: str, goal: str) -> bool:
    """True when *start* waits for *goal*, directly or not."""
    waiting, seen = [start], set()
    while waiting:
        name = waiting.pop()
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            waiting += after[name]
    return False
