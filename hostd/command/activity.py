"""Fields of vzlist beyond OpenVZ's: what containers have done so far, since when, and what they wait for.

Only for those who name them: they cost a question to the kernel each, and no program of OpenVZ's days expects them.
"""

from collections.abc import Callable

from hostd.command.columns import BY_NAME as OPENVZ
from hostd.command.columns import COLUMNS, Column, Load, Seconds
from hostd.command.figures import Done
from hostd.command.row import Row

Pick = Callable[[Done], float | None]


def _counter(name: str, header: str, need: str, pick: Pick) -> Column:
    """Bytes, or whole seconds, since the start."""
    return Column(
        *(name, header, 14, lambda row: _whole(pick(row.usage.done)), lambda row: _exact(pick(row.usage.done))),
        lambda row: pick(row.usage.done),
        frozenset((need,)),
    )


def _pressure(name: str, header: str, resource: str) -> Column:
    def text(found: float | None) -> str | None:
        return None if found is None else f"{found:.2f}"

    def pick(done: Done) -> float | None:
        return done.pressure.get(resource)

    return Column(
        *(name, header, 7, lambda row: text(pick(row.usage.done))),
        lambda row: None if (found := pick(row.usage.done)) is None else Load(found),
        lambda row: pick(row.usage.done),
        frozenset(("cpu",)),
    )


def _whole(value: float | None) -> str | None:
    return None if value is None else str(int(value))


def _exact(value: float | None) -> object:
    return Seconds(value) if isinstance(value, float) else value


def _serial(row: Row) -> int | None:
    return row.facts.serial


ACTIVITY: tuple[Column, ...] = (
    Column("serial", "SERIAL", 19, lambda row: _whole(_serial(row)), _serial, _serial),
    _counter("cputime", "CPUTIME", "cpu", lambda done: done.cpu),
    _counter("ioread", "IOREAD", "io", lambda done: done.read),
    _counter("iowritten", "IOWRITTEN", "io", lambda done: done.written),
    _counter("netin", "NETIN", "net", lambda done: done.came),
    _counter("netout", "NETOUT", "net", lambda done: done.went),
    _pressure("cpupsi", "CPUPSI", "cpu"),
    _pressure("mempsi", "MEMPSI", "memory"),
    _pressure("iopsi", "IOPSI", "io"),
)
FIELDS = (*COLUMNS, *ACTIVITY)
BY_NAME = OPENVZ | {column.name: column for column in ACTIVITY}
