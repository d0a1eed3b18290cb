"""How vzlist looks: a table of fixed widths, or JSON in OpenVZ's style.  Pure."""

from collections.abc import Iterable, Sequence
from json.encoder import encode_basestring as quoted

from hostd.command.columns import Column, Load, Seconds
from hostd.command.row import Row


def table(columns: Sequence[Column], rows: Iterable[Row], *, header: bool, trim: bool) -> str:
    """One line per row.  The last column is neither padded nor clipped on its right; no blanks end a line."""
    last = len(columns) - 1
    lines = []
    if header:
        lines.append(
            _line(_cell(one.header, one, number == last, trim) for number, one in enumerate(columns))
        )
    for row in rows:
        cells = (
            _cell(_text(one, row, number == last), one, number == last, trim)
            for number, one in enumerate(columns)
        )
        lines.append(_line(cells))
    return "".join(lines)


def _line(cells: Iterable[str]) -> str:
    return " ".join(cells).rstrip() + "\n"


def _text(column: Column, row: Row, last: bool) -> str:
    text = column.text(row)
    if text is None:
        return "-"
    return text if last or column.name != "ip" else text.split()[0]


def _cell(text: str, column: Column, last: bool, trim: bool) -> str:
    width = abs(column.width)
    if trim and not last and not column.figures and not text.lstrip("-").isdigit():
        text = text[:width]
    if column.width > 0:
        return text.rjust(width)
    return text if last else text.ljust(width)


def fields(columns: Iterable[Column]) -> str:
    """`vzlist -L`."""
    return "".join(f"{one.name:<15} {one.header:<15}\n" for one in columns)


def as_json(columns: Sequence[Column], rows: Iterable[Row]) -> str:
    """An array of objects, indented by two blanks."""
    items = [{one.name: one.json(row) for one in columns if one.json is not None} for row in rows]
    return _json(items, "") + "\n"


def _json(value: object, indent: str) -> str:
    if value is None:
        return "null"
    kind = type(value)
    if kind is int:
        return str(value)
    deeper = indent + "  "
    match value:
        case bool():
            return "true" if value else "false"
        case Seconds():
            return f"{value:.3f}"
        case Load():
            return f"{value:.2f}"
        case float():
            return str(value)
        case dict() if value:
            inner = [f"{deeper}{quoted(key)}: {_json(one, deeper)}" for key, one in value.items()]
            return "{\n" + ",\n".join(inner) + f"\n{indent}}}"
        case list() if value and isinstance(value[0], Load):
            return "[" + ", ".join([_json(one, "") for one in value]) + "]"
        case list() if value:
            return "[\n" + ",\n".join([deeper + _json(one, deeper) for one in value]) + f"\n{indent}]"
        case dict() | list():
            return "{}" if kind is dict else "[]"
    return quoted(str(value).encode("utf-8", "replace").decode())
