"""Condition...= and Assert...= of a unit.  Runs in the planner."""

import posix

from vzinit import fds, unitfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CONTAINER = ("container", "vz", "openvz", "private-users")
# What the kernel would refuse here; such units are about hardware and clocks.
NO_CAPABILITY = (
    "CAP_SYS_MODULE",
    "CAP_SYS_TIME",
    "CAP_SYS_RAWIO",
    "CAP_AUDIT_READ",
    "CAP_MKNOD",
    "CAP_SYS_ADMIN",
)


TESTS: "dict[str, Callable[[str], bool]]" = {
    "PathExists": fds.exists,
    "PathIsDirectory": fds.is_dir,
    "PathIsSymbolicLink": fds.is_link,
    "PathIsReadWrite": lambda path: posix.access(path, posix.W_OK),
    "FileIsExecutable": fds.is_program,
    "FileNotEmpty": lambda path: bool(fds.read_text(path)),
    "DirectoryNotEmpty": lambda path: bool(fds.listdir(path)),
    "Virtualization": lambda what: what in CONTAINER or unitfile.is_true(what),
    "Capability": lambda name: name not in NO_CAPABILITY,
    "User": lambda name: name in ("root", "0", "@system"),
    "FirstBoot": lambda _: False,
    "NeedsUpdate": lambda _: False,
    "KernelCommandLine": lambda _: False,
    "KernelModuleLoaded": lambda _: False,
    "Security": lambda _: False,
}  # anything else is taken as met


def unmet(unit: unitfile.Unit) -> str:
    """The first condition that does not hold, as written; "" when all do.

    `!` negates; conditions with `|` are alternatives, of which one must hold.
    """
    alternatives: list[tuple[str, bool]] = []
    for key in unit.values.get("Unit", {}):
        kind = key.removeprefix("Condition").removeprefix("Assert")
        for value in unit.all("Unit", key) if kind != key else ():
            holds = check(kind, value.lstrip("|"))
            if value.startswith("|"):
                alternatives.append((f"{key}={value}", holds))
            elif not holds:
                return f"{key}={value}"
    if alternatives and not any(holds for _, holds in alternatives):
        return alternatives[0][0]
    return ""


def check(kind: str, value: str) -> bool:
    wanted = not value.startswith("!")
    test = TESTS.get(kind)
    try:
        return test is None or test(value.lstrip("!").strip()) == wanted
    except ValueError:
        return False  # a path that cannot be
