"""Values of a unit file that nobody can read: told with file and line, and ignored, as systemd does.

Runs in the planner and in helpers; pure but for the look for the line.
"""

import _signal  # type: ignore[import-not-found]

from vzinit import fds, unitfile
from vzinit.signals import SIGRTMIN
from vzinit.unitfile import Unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

REAL_TIME = {"RTMIN": SIGRTMIN, "RTMAX": 64}  # of glibc
RESTARTS = ("no", "always", "on-success", "on-failure", "on-abnormal", "on-abort", "on-watchdog")
KILL_MODES = ("control-group", "process", "mixed", "none")
SCALE = "KMGT"


def signal(text: str) -> int:
    """The number of `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`, `SIGRTMAX-1`.  Raises ValueError."""
    name = text.removeprefix("SIG")
    if name[:6] in ("RTMIN+", "RTMAX-"):
        number, least = REAL_TIME[name[:5]] + int(name[5:]), SIGRTMIN
    else:
        number, least = int(name) if name.isdecimal() else named(name), 1
    if not least <= number <= REAL_TIME["RTMAX"]:
        raise ValueError(text)
    return number


def named(name: str) -> int:
    """0 when the kernel has no such signal."""
    if name in REAL_TIME:
        return REAL_TIME[name]
    return int(getattr(_signal, f"SIG{name}", 0)) if name.isalnum() else 0


def span(text: str) -> float:
    """Seconds.  Raises ValueError."""
    value = unitfile.seconds(text, -1.0)
    if value < 0:
        raise ValueError(text)
    return value


def between(least: int, most: int, base: int = 10) -> "Callable[[str], object]":
    def number(text: str) -> None:
        if not least <= int(text, base) <= most:
            raise ValueError(text)

    return number


def one_of(words: tuple[str, ...]) -> "Callable[[str], object]":
    return words.index


def limits(text: str) -> None:
    """`soft:hard` of setrlimit(2), each a number or `infinity`.  Raises ValueError."""
    for part in text.split(":"):
        if part != "infinity":
            int(part.rstrip(SCALE))


def boolean(text: str) -> None:
    if text.lower() not in unitfile.BOOLEANS:
        raise ValueError(text)


MODE = between(0, 0o7777, 8)
READERS: "dict[str, dict[str, Callable[[str], object]]]" = {
    "Unit": {"StartLimitBurst": between(0, 1 << 31), "StartLimitIntervalSec": span},
    "Service": {
        **dict.fromkeys(("TimeoutSec", "TimeoutStartSec", "TimeoutStopSec", "RestartSec"), span),
        **dict.fromkeys(("LimitNOFILE", "LimitCORE", "LimitMEMLOCK", "LimitNPROC"), limits),
        **dict.fromkeys(("RemainAfterExit", "IgnoreSIGPIPE"), boolean),
        **dict.fromkeys(
            ("ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost",
             "Environment"), unitfile.split,
        ),
        **dict.fromkeys(
            ("UMask", "RuntimeDirectoryMode", "StateDirectoryMode", "CacheDirectoryMode", "LogsDirectoryMode",
             "ConfigurationDirectoryMode"), MODE,
        ),
        "Restart": one_of(RESTARTS), "KillMode": one_of(KILL_MODES), "KillSignal": signal,
        "Nice": between(-20, 19), "OOMScoreAdjust": between(-1000, 1000),
    },
    "Socket": {"SocketMode": MODE, "Backlog": between(0, 1 << 32), "Accept": boolean},
}  # fmt: skip


def load(name: str) -> Unit | None:
    """As `unitfile.load`, without what cannot be read, which is in `complaints`."""
    unit = unitfile.load(name)
    if unit:
        sift(unit)
    return unit


def sift(unit: Unit) -> None:
    for section, readers in READERS.items():
        assignments = unit.values.get(section, {})
        for key, reader in readers.items():
            for text in list(assignments.get(key, ())):
                if not is_readable(unit, text, reader):
                    assignments[key].remove(text)
                    unit.complaints.append(f"{where(unit, key, text)}: Failed to parse {key}=, ignoring: {text}")


def is_readable(unit: Unit, text: str, reader: "Callable[[str], object]") -> bool:
    try:
        reader(unit.expand(text))
        return True
    except ValueError:
        return False


def where(unit: Unit, key: str, text: str) -> str:
    """FILE:LINE of an assignment; the unit's name if it is written in a way that is not found again."""
    for path in unit.files:
        for number, line in enumerate(fds.read_text(path).splitlines(), 1):
            name, equals, value = line.partition("=")
            if equals and name.strip() == key and text.startswith(value.rstrip("\\").strip()):
                return f"{path}:{number}"
    return unit.name
