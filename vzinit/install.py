"""[Install] of units: which are enabled or masked, and the links that say so.  Runs in the helper of systemctl."""

import posix

from vzinit import fds, unitfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vzinit.unitfile import Unit

    Change = tuple[str, str, str]

ETC, RUN = "/etc/systemd/system", "/run/systemd/system"
NULL = "/dev/null"
LINKED_BY = (("WantedBy", "wants"), ("RequiredBy", "requires"), ("UpheldBy", "upholds"))
KINDS = (".service", ".socket", ".target", ".timer", ".path", ".mount", ".swap", ".slice", ".scope", ".automount")


class NoUnit(OSError):
    """There is no unit file of that name."""


class Masked(OSError):
    """The unit is masked: nothing can be enabled."""


class InTheWay(OSError):
    """Something else has the name that a link would get."""


def names() -> list[str]:
    """Every unit file of the image."""
    found = {name for directory in unitfile.DIRECTORIES for name in fds.listdir(directory)}
    return sorted(name for name in found if name.endswith(KINDS))


def state(name: str) -> str:
    """As `systemctl is-enabled` says it.  Raises NoUnit."""
    path = first(name) or first(unitfile.template_of(name))
    if not path:
        raise NoUnit(2, "No such file or directory", name)
    if unitfile.real_name(path) == "null" or is_empty(path):
        return "masked-runtime" if path.startswith(RUN) else "masked"
    unit = unitfile.load(name)
    if unit is None or ("@" not in name and unit.name != name):
        return "alias"
    for directory, word in ((ETC, "enabled"), (RUN, "enabled-runtime")):
        if any(fds.exists(link) or fds.is_link(link) for link in links(unit, directory)) or wanted_in(directory, name):
            return word
    if any(unit.words("Install", key) for key, _ in LINKED_BY) or unit.words("Install", "Alias"):
        return "disabled"
    return "indirect" if unit.words("Install", "Also") else "static"


def enable(names: list[str], runtime: bool, force: bool) -> "tuple[bool, list[Change]]":
    """Make the links of *names* and of what they name by Also=: (one of them has an [Install], the changes).

    Raises NoUnit, Masked, InTheWay, OSError.
    """
    directory = RUN if runtime else ETC
    carries = False
    changes: list[Change] = []
    for unit in with_also(names):
        for link, target in links(unit, directory).items():
            carries = True
            changes += make_link(link, target, force)
    return carries, changes


def disable(names: list[str], runtime: bool) -> "list[Change]":
    """Remove every link to *names*, and to what they name by Also=, below the directory of links."""
    return [change for link in links_to(names, runtime) for change in remove_link(link)]


def links_to(names: list[str], runtime: bool) -> list[str]:
    """The links by which *names* are enabled, and what they name by Also=."""
    directory = RUN if runtime else ETC
    units = with_also(names, missing_ok=True)
    wanted = {unit.name for unit in units} | set(names)
    aliases = {alias for unit in units for alias in unit.words("Install", "Alias")}
    found = [f"{directory}/{name}" for name in sorted(aliases) if unitfile.real_name(f"{directory}/{name}") in wanted]
    for folder in sorted(fds.listdir(directory)):
        if folder.rpartition(".")[2] in ("wants", "requires", "upholds"):
            inside = sorted(fds.listdir(f"{directory}/{folder}"))
            found += [f"{directory}/{folder}/{name}" for name in inside if name in wanted or of_template(name, wanted)]
    return found


def mask(names: list[str], runtime: bool, force: bool) -> "list[Change]":
    """Let nothing start *names*.  Raises InTheWay where a file of the owner's has the name."""
    directory = RUN if runtime else ETC
    return [change for name in names for change in make_link(f"{directory}/{name}", NULL, force)]


def unmask(names: list[str], runtime: bool) -> "list[Change]":
    found = [f"{RUN if runtime else ETC}/{name}" for name in names]
    return [change for link in found if unitfile.real_name(link) == "null" for change in remove_link(link)]


def links(unit: "Unit", directory: str) -> dict[str, str]:
    """The links that enabling *unit* makes, and where they lead."""
    target = unitfile.find(unit.name) or ""
    name = unit.name
    if "@." in name:
        instance = unit.last("Install", "DefaultInstance")
        if not instance:
            return {}
        name = name.replace("@.", f"@{instance}.")
    found = {f"{directory}/{alias}": target for alias in unit.words("Install", "Alias")}
    for key, kind in LINKED_BY:
        found |= {f"{directory}/{other}.{kind}/{name}": target for other in unit.words("Install", key)}
    return found


def with_also(names: list[str], missing_ok: bool = False) -> "list[Unit]":
    """The units *names*, and those of their Also=.  Raises NoUnit and Masked."""
    found: dict[str, Unit] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop(0)
        unit = unitfile.load(name)
        if unit is None:
            if missing_ok or name not in names:
                continue
            if first(name):
                raise Masked(1, f"Unit file {ETC}/{name} is masked", name)
            raise NoUnit(2, f"Unit file {name} does not exist", name)
        if unit.name not in found:
            found[unit.name] = unit
            waiting += unit.words("Install", "Also")
    return list(found.values())


def wanted_in(directory: str, name: str) -> bool:
    """Some unit wants *name* by a link in *directory*."""
    folders = [folder for folder in fds.listdir(directory) if folder.endswith((".wants", ".requires"))]
    return any(fds.is_link(f"{directory}/{folder}/{name}") for folder in folders)


def of_template(name: str, wanted: set[str]) -> bool:
    return unitfile.template_of(name) in wanted


def first(name: str) -> str:
    """The path that counts for *name*, also one that masks it; "" without one."""
    places = (f"{directory}/{name}" for directory in unitfile.DIRECTORIES if name)
    return next((place for place in places if fds.exists(place) or fds.is_link(place)), "")


def is_empty(path: str) -> bool:
    return posix.stat(path).st_size == 0 if fds.exists(path) else False


def make_link(link: str, target: str, force: bool) -> "list[Change]":
    """What was changed: nothing where it is so already.  Raises InTheWay and OSError."""
    try:
        if posix.readlink(link) == target:
            return []
        there = True
    except OSError:
        there = fds.exists(link)
    changes = []
    if there:
        if not force:
            raise InTheWay(17, f"File {link} already exists", link)
        posix.unlink(link)
        changes.append(("unlink", link, ""))
    fds.make_parents(link)
    posix.symlink(target, link)
    return [*changes, ("symlink", link, target)]


def remove_link(link: str) -> "list[Change]":
    if not fds.is_link(link):
        return []
    posix.unlink(link)
    folder = link.rpartition("/")[0]
    if folder not in (ETC, RUN):
        try:
            posix.rmdir(folder)
        except OSError:
            pass  # others are wanted there, too
    return [("unlink", link, "")]
