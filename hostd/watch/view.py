"""The table: one row of data for each column, then how it looks.  Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from hostd.watch.rates import Row
from hostd.watch.sample import Container

_UNITS = ("", "K", "M", "G", "T", "P")


class Column(NamedTuple):
    """*key*: what is typed to sort by it, largest first, or smallest where *rising*.  *value* None: not known."""

    title: str
    key: str
    text: Callable[[Row], str]
    value: Callable[[Row], float | str | None]
    rising: bool = False
    left: bool = False


def size(value: float | None) -> str:
    """Bytes for people: three digits, or two and a decimal, and the unit."""
    if value is None:
        return "-"
    unit = 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value /= 1024
        unit += 1
    return f"{value:.1f}{_UNITS[unit]}" if unit and value < 10 else f"{value:.0f}{_UNITS[unit]}"


def share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def age(seconds: float) -> str:
    """The two largest units."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours:02}h"
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s"


def _of(used: Callable[[Row], float | None], limit: Callable[[Container], int | None]) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        most = limit(row.container) if row.container.running else None
        return size(used(row)) if most is None else f"{size(used(row))}/{size(most)}"

    return text


def _running(pick: Callable[[Row], float | None]) -> Callable[[Row], float | None]:
    return lambda row: pick(row) if row.container.running else None


def _pair(first: Callable[[Row], float | None], second: Callable[[Row], float | None]) -> Callable[[Row], str]:
    return lambda row: "-" if first(row) is None else f"{size(first(row))} {size(second(row))}"


_memory_used = _running(lambda row: row.container.memory)
_swap_used = _running(lambda row: row.container.swap)
_processes = _running(lambda row: row.container.processes)
_failures = _running(lambda row: row.container.refused)
_uptime = _running(lambda row: row.container.uptime)


def _counted(pick: Callable[[Row], float | None]) -> Callable[[Row], str]:
    return lambda row: "-" if (value := pick(row)) is None else f"{value:.0f}"


COLUMNS: tuple[Column, ...] = (
    Column("CTID", "t", lambda row: str(row.container.ctid), lambda row: row.container.ctid, rising=True),
    Column("NAME", "N", lambda row: row.container.name or "-", lambda row: row.container.name, rising=True, left=True),
    Column("STATUS", "", lambda row: row.container.status, lambda row: row.container.status, left=True),
    Column("CPU%", "c", lambda row: share(row.cpu), lambda row: row.cpu),
    Column("MEMORY", "m", _of(_memory_used, lambda one: one.ram), _memory_used),
    Column("SWAP", "w", _of(_swap_used, lambda one: one.swap_limit), _swap_used),
    Column("IO R W /s", "i", _pair(lambda row: row.read, lambda row: row.written), lambda row: row.io),
    Column("NET IN OUT /s", "n", _pair(lambda row: row.came, lambda row: row.went), lambda row: row.net),
    Column("PROCS", "p", _counted(_processes), _processes),
    Column("PSI%", "s", lambda row: share(row.pressure), lambda row: row.pressure),
    Column("FAILS", "f", _counted(_failures), _failures),
    Column("UP", "u", lambda row: "-" if (up := _uptime(row)) is None else age(up), _uptime),
)
BY_KEY = {column.key: column for column in COLUMNS if column.key}
BY_TITLE = {column.title.split()[0].lower().rstrip("%"): column for column in COLUMNS}
_LONGEST = 24  # letters of a name: one long one must not take the room of all figures
_FIRST_TO_GO = ("status", "up", "swap", "procs", "net", "io", "fails", "psi")  # from a narrow terminal


def ordered(rows: Sequence[Row], column: Column, *, reverse: bool = False) -> list[Row]:
    """By *column*; what is not known comes last, equal ones stay in the order of their numbers."""
    known = [row for row in rows if column.value(row) is not None]
    unknown = [row for row in rows if column.value(row) is None]
    known.sort(key=column.value, reverse=column.rising == reverse)  # type: ignore[arg-type]
    return [*known, *unknown]


def table(rows: Sequence[Row], sorted_by: Column, selected: int | None, width: int) -> Table:
    """*selected*: the CTID whose row is marked.  *width*: of the terminal."""
    cells = {column: [_harmless(column.text(row)) for row in rows] for column in COLUMNS}
    for name in _FIRST_TO_GO:
        if _room(cells) > width and BY_TITLE[name] is not sorted_by:
            del cells[BY_TITLE[name]]
    view = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    for column in cells:
        title = Text(column.title, style="reverse" if column is sorted_by else "")
        justify = "left" if column.left else "right"
        view.add_column(title, justify=justify, no_wrap=True, max_width=_LONGEST)  # type: ignore[arg-type]
    for number, row in enumerate(rows):
        line = (Text(texts[number]) for texts in cells.values())
        view.add_row(*line, style=_style(row, row.container.ctid == selected))
    return view


def _room(cells: Mapping[Column, Sequence[str]]) -> int:
    """How wide these columns are, with two blanks between them."""
    widths = (max(map(cell_len, (column.title, *texts))) for column, texts in cells.items())
    return sum(min(width, _LONGEST) + 2 for width in widths) - 2


def _harmless(text: str) -> str:
    """A name is what somebody chose: nothing in it may move the cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _style(row: Row, selected: bool) -> str:
    """Refusals since the last look are red, whoever waits much is yellow, what is down is dim."""
    words = ["reverse"] if selected else []
    if not row.container.running:
        words.append("dim")
    elif row.failed:
        words.append("red")
    elif (row.pressure or 0) >= 10:
        words.append("yellow")
    return " ".join(words)


def summary(rows: Sequence[Row]) -> str:
    """The line above the table."""
    up = [row for row in rows if row.container.running]
    cpu = sum(row.cpu or 0 for row in up)
    memory = sum(row.container.memory for row in up)
    return f"{len(up)} of {len(rows)} containers run, {cpu:.0f} % of one processor, {size(memory)} of memory"
