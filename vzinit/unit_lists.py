"""What the lists of `systemctl` have of a unit: rows, in D-Bus's order.  Runs in the helper of systemctl."""

from vzinit import cgroup, fds, install
from vzinit.unit_names import matches, path_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vzinit.unit_view import View


def row(view: "View") -> "tuple[Any, ...]":
    """Of list-units: name, description, states, followed unit, object, job."""
    return view.name, view.description, view.load, *view.active, "", path_of(view.name), 0, "", "/"


def chosen(view: "View", states: list[str], patterns: list[str]) -> bool:
    """It is in one of *states* and has a name like one of *patterns*; an empty list asks for nothing."""
    if states and not {*view.active, view.load} & set(states):
        return False
    return not patterns or any(matches(view.name, pattern) for pattern in patterns)


def files(states: list[str], patterns: list[str]) -> "list[tuple[str, str]]":
    """Of list-unit-files: path and state."""
    wanted = (name for name in install.names() if not patterns or any(matches(name, one) for one in patterns))
    rows = [(install.first(name), install.state(name)) for name in wanted]
    return [row for row in rows if not states or row[1] in states]


def processes(view: "View") -> "list[tuple[str, int, str]]":
    """cgroup, pid and command line of each process of a service."""
    state = view.state
    if state is None:
        return []
    pids = cgroup.pids(state.group) if state.group else [state.main] if state.main else []
    path = state.group.removeprefix(cgroup.TREE)
    return [(path, pid, fds.read_text(f"/proc/{pid}/cmdline").replace("\0", " ").strip()) for pid in pids]
