"""vzlist: choose containers, choose fields, print."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from hostd.command import render
from hostd.command.activity import BY_NAME, FIELDS
from hostd.command.columns import COLUMNS, Column
from hostd.command.console import Console
from hostd.command.figures import Usage
from hostd.command.grammar import Grammar, Option, Parsed
from hostd.command.host import Facts, Host, Session
from hostd.command.row import Row, conf_of
from hostd.config import names
from hostd.config.model import GlobalConfig
from hostd.config.veconf import VeConf
from hostd.errors import BadConfig, BadValue, Failure, NoConfig
from hostd.errors import Usage as UsageError

OPTIONS: tuple[Option, ...] = (
    Option("all", "a"),
    Option("stopped", "S"),
    Option("name", "n"),
    Option("output", "o", value=True),
    Option("no-header", "H"),
    Option("", "1", dest="1"),
    Option("no-trim", "t"),
    Option("json", "j"),
    Option("sort", "s", value=True),
    Option("hostname", "h", value=True),
    Option("name_filter", "N", value=True),
    Option("description", "d", value=True),
    Option("list", "L"),
    Option("help"),
)
_DEFAULT = "ctid,numproc,status,ip,hostname"
_NAMED = "smart_name,numproc,status,ip,hostname"
_HELP = """Usage: vzlist [options] [CTID|NAME ...]

  -a, --all               list stopped containers, too
  -S, --stopped           list only stopped containers
  -n, --name              show names instead of numbers
  -o, --output F[,F...]   show these fields (-L lists them; .m .b .l .f and .s .h behind limits)
  -H, --no-header         no heading
  -1                      the same as -H -o ctid
  -t, --no-trim           do not cut long values
  -j, --json              JSON
  -s, --sort [-]F         sort by a field, - for descending
  -h, --hostname PAT      only host names that match
  -N, --name_filter PAT   only names that match
  -d, --description PAT   only descriptions that match
  -L, --list              list the fields
"""


async def run(host: Host, session: Session, console: Console, argv: Sequence[str]) -> int:
    """Exit code 0, or 1 for whatever is wrong, as vzlist has it."""
    try:
        parsed = Grammar(OPTIONS, prog="vzlist").parse(argv)
        if parsed.has("help"):
            console.show(_HELP)
            return 1
        if parsed.has("list"):
            console.show(render.fields(FIELDS))
            return 0
        if session.uid != 0:
            raise Failure(1, "Only root can use vzlist")
        return await _list(host, console, parsed)
    except (BadConfig, BadValue, UsageError) as error:
        raise Failure(1, error.message) from error


async def _list(host: Host, console: Console, parsed: Parsed) -> int:
    columns, sort = _columns(parsed), _sort(parsed)
    wanted = _wanted(host, parsed)
    rows = _rows(host, console, parsed, wanted)
    unknown = sorted(set(wanted) - set(host.ids()))
    if not rows and (unknown or not wanted):
        if parsed.has("json"):
            console.show("[]\n")
        else:
            console.error("Container(s) not found")
        return 1 if wanted else 0
    rows = [row for row in rows if row.facts.exists or row.facts.running]
    rows = await _with_usage(host, rows, _needs(parsed, columns if sort is None else (*columns, sort)))
    if sort is not None:
        rows = _sorted(rows, sort, descending=(parsed.last("sort") or "").startswith("-"))
    console.show(_rendered(parsed, columns, rows))
    if unknown:
        console.error(f"Container(s) not found: {' '.join(map(str, unknown))}")
    return 1 if unknown else 0


def _rendered(parsed: Parsed, columns: Sequence[Column], rows: Sequence[Row]) -> str:
    if parsed.has("json"):
        return render.as_json(columns, rows)
    header = not (parsed.has("no-header") or parsed.has("1"))
    return render.table(columns, rows, header=header, trim=not parsed.has("no-trim"))


# Choosing fields


def _columns(parsed: Parsed) -> Sequence[Column]:
    output = parsed.last("output")
    if output is None and parsed.has("1"):
        output = "ctid"
    if output is None:
        if parsed.has("json"):
            return [column for column in COLUMNS if column.json is not None]
        output = _NAMED if parsed.has("name") else _DEFAULT
    columns = [_column(name) for name in output.split(",")]
    for column in columns:
        if parsed.has("json") and column.json is None:
            raise BadValue(f"Field `{column.name}' is not available in JSON output")
    return columns


def _column(name: str) -> Column:
    if name not in BY_NAME:
        raise BadValue(f"Unknown field: {name}")
    return BY_NAME[name]


def _sort(parsed: Parsed) -> Column | None:
    text = parsed.last("sort")
    if text is None:
        return None
    name = text.removeprefix("-")
    if name not in BY_NAME:
        raise BadValue(f"Invalid sort field name: {name}")
    return BY_NAME[name]


def _sorted(rows: list[Row], column: Column, *, descending: bool) -> list[Row]:
    """By the field; unknown values count as smaller than any, equal ones keep the order of their numbers."""
    known = [row for row in rows if column.key(row) is not None]
    unknown = [row for row in rows if column.key(row) is None]
    known.sort(key=lambda row: _key(column.key(row)), reverse=descending)
    return [*known, *unknown] if descending else [*unknown, *known]


def _key(value: object) -> tuple[int, float, str]:
    """Numbers before texts (smart_name mixes them)."""
    if isinstance(value, (bool, int, float)):
        return (0, float(value), "")
    if isinstance(value, tuple):
        return (0, float(value[0]), "")
    return (1, 0.0, str(value))


# Choosing containers


def _wanted(host: Host, parsed: Parsed) -> list[int]:
    """The containers named on the command line."""
    found = []
    for word in parsed.words:
        try:
            found.append(names.resolve(host.paths, word))
        except BadValue as error:
            raise Failure(1, f"CT ID {word} is invalid.") from error
    return found


def _rows(host: Host, console: Console, parsed: Parsed, wanted: list[int]) -> list[Row]:
    globals = host.confs.globals()
    known = set(host.ids())
    rows = []
    for ctid in sorted(known & set(wanted)) if wanted else sorted(known):
        facts = host.facts(ctid)
        if _state_wanted(parsed, facts, named=bool(wanted)):
            row = _row(host, console, ctid, facts, globals)
            if row is not None and _matches(parsed, row):
                rows.append(row)
    return rows


def _state_wanted(parsed: Parsed, facts: Facts, *, named: bool) -> bool:
    if parsed.has("stopped"):
        return not facts.running
    return facts.running or named or parsed.has("all")


def _row(host: Host, console: Console, ctid: int, facts: Facts, globals: GlobalConfig) -> Row | None:
    """None when there is no configuration, and nothing that runs without.  One that is none says nothing, and takes
    nobody else along.
    """
    try:
        conf = conf_of(host, ctid, facts)
    except NoConfig:
        return None
    except BadConfig as error:
        console.note(f"Warning: {error.message}")
        conf = VeConf()
    return Row(ctid, facts, Usage(), conf, globals)


def _needs(parsed: Parsed, columns: Sequence[Column]) -> frozenset[str]:
    needs = frozenset[str]().union(*(column.needs for column in columns))
    if "processes" in needs and parsed.has("json"):  # which shows all of a counter
        needs |= {"numproc"}
    return needs


async def _with_usage(host: Host, rows: list[Row], needs: frozenset[str]) -> list[Row]:
    """What the columns need of those rows that have it: all at once, since some of it has to be counted."""
    wanted = {}
    for row in rows:
        parts = (needs if row.facts.running else needs & {"disk"}) - (set() if row.facts.mounted else {"disk"})
        if parts:
            wanted[row.ctid] = parts
    usages = await host.usage(wanted) if wanted else {}
    return [row._replace(usage=usages[row.ctid]) if row.ctid in usages else row for row in rows]


def _matches(parsed: Parsed, row: Row) -> bool:
    filters = {"hostname": "HOSTNAME", "name_filter": "NAME", "description": "DESCRIPTION"}
    for option, key in filters.items():
        pattern = parsed.last(option)
        if pattern is not None and not fnmatchcase(row.text(key) or "", pattern):
            return False
    return True
