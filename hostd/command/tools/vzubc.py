"""vzubc: beancounters for people: pages as bytes, large numbers short, how close to barrier and limit."""

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from hostd.command import user_beancounters
from hostd.command.call import typed_path
from hostd.command.grammar import Option, Parsed
from hostd.command.programs import Tool
from hostd.command.row import Row
from hostd.command.tools import answers, running
from hostd.command.tools.answers import Answers
from hostd.command.tools.earlier import Earlier
from hostd.command.user_beancounters import DUMMY, BadText, Resource
from hostd.config import files, names
from hostd.config.bounds import NO_LIMIT
from hostd.errors import BadValue, Failure, Usage

# No getopt: some have two letters behind one minus sign.  What is typed, and what it means.
OPTIONS = (
    Option("watch", "w"),
    Option("wd"),
    Option("wt"),
    Option("wn", value=True),
    Option("quiet", "q"),
    Option("qh", value=True),
    Option("qm", value=True),
    Option("verbose", "v"),
    Option("relative", "r"),
    Option("rc"),
    Option("rd", value=True),
    Option("incremental", "i"),
    Option("ic"),
    Option("id", value=True, dest="rd"),
    Option("color", "c"),
    Option("file", "f", value=True),
    Option("text", "t"),
    Option("help", "h"),
)
HELP = """Usage: vzubc [options] [CTID|NAME ...]

  -w, --watch         again every two seconds, by watch(1); -wd shows differences, -wt no title, -wn SECONDS
  -q, --quiet         only what has failed or is close to its limit
  -qh RATIO           close: held is more than this part of it (0.5); -qm RATIO: maxheld is (0.8)
  -v, --verbose       what has no limit, too
  -r, --relative      failures since the last time; -rc forgets that, -rd DIR has it (/tmp/vzubc.store)
  -i, --incremental   a column with the change of held since the last time; -ic forgets that, -id DIR has it
  -c, --color         colours by the same measure as -q
  -f, --file FILE     a file like /proc/user_beancounters, - for standard input
  -t, --text          such a file itself, for programs that read one
"""
STORE = "/tmp/vzubc.store"
_WATCH = ("watch", "wd", "wt", "wn")
_HELD, _MAXHELD = 0.5, 0.8
_FAILED, _CLOSE, _FINE = 2, 1, 0
_COLORS = {_FAILED: "\033[1;31m", _CLOSE: "\033[1;33m", _FINE: "\033[0;39m"}
_BRIGHT, _NORMAL = "\033[1;32m", _COLORS[_FINE]


class Words:
    """The command line, word by word."""

    def __init__(self, options: Iterable[Option]) -> None:
        self._known = {word: one for one in options for word in spellings(one)}

    def parse(self, args: Sequence[str]) -> Parsed:
        given: list[tuple[str, str]] = []
        words = []
        rest = list(reversed(args))
        while rest:
            word = rest.pop()
            if not word.startswith("-") or word == "-":
                words.append(word)
                continue
            option = self._known.get(word)
            if option is None:
                raise Usage(f"Unrecognized option: {word}")
            if option.value and not rest:
                raise Usage(f"Error: option {word} requires an argument")
            given.append((option.target, rest.pop() if option.value else ""))
        return Parsed(tuple(given), tuple(words))


def spellings(option: Option) -> tuple[str, ...]:
    return (f"--{option.name}", f"-{option.short}") if option.short else (f"-{option.name}",)


GRAMMAR = Words(OPTIONS)


@dataclass(slots=True)
class View:
    """What is shown of the rows, and how."""

    quiet: bool
    verbose: bool
    color: bool
    held: float
    maxheld: float
    failures: Earlier | None  # of -r
    changes: Earlier | None  # of -i
    lines: list[str] = field(default_factory=list)


async def run(tool: Tool) -> int:
    view = _view(tool.parsed, typed_path(tool.session, tool.parsed.last("rd") or STORE))
    for option, kind in (("rc", "failcnt"), ("ic", "held")):
        if tool.parsed.has(option):
            Earlier.forget(typed_path(tool.session, tool.parsed.last("rd") or STORE), kind)
    wanted = _wanted(tool)
    if tool.parsed.has("text"):
        tool.console.show(user_beancounters.text(await _counted(tool, wanted)))
        return 0
    rows = [one for one in await _resources(tool, wanted) if one.name != DUMMY]
    for ctid, group in groupby(rows, key=lambda one: one.ctid):
        if not wanted or ctid in wanted:
            _add(view, ctid, group)
    if view.lines:
        tool.console.show("\n".join([*view.lines, _rule(view)]) + "\n")
    for store in (view.failures, view.changes):
        if store is not None:
            store.save()
    return 0


def _view(parsed: Parsed, store: str) -> View:
    quiet, verbose, color = parsed.has("quiet"), parsed.has("verbose"), parsed.has("color")
    if quiet and verbose:
        raise Usage("Error: options --quiet and --verbose can't be used together")
    if (parsed.has("qh") or parsed.has("qm")) and not (quiet or color):
        raise Usage("Error: -qh and -qm only make sense with --quiet or --color")
    if any(parsed.has(name) for name in _WATCH):  # the command becomes watch(1) otherwise: `hostd.cli.watch`
        raise Usage("Error: can't use --watch and --color together" if color else "Error: watch binary not found")
    held, maxheld = _ratio(parsed, "qh", _HELD), _ratio(parsed, "qm", _MAXHELD)
    return View(
        quiet=quiet,
        verbose=verbose,
        color=color,
        held=min(held, maxheld),
        maxheld=maxheld,
        failures=Earlier(store, "failcnt") if parsed.has("relative") else None,
        changes=Earlier(store, "held") if parsed.has("incremental") else None,
    )


def _ratio(parsed: Parsed, name: str, default: float) -> float:
    """A part of 1; more than that are percent."""
    text = parsed.last(name)
    try:
        ratio = default if text is None else float(text)
    except ValueError:
        ratio = -1.0
    if not ratio >= 0:
        raise Usage(f"Error: bad ratio {text}")
    return ratio / 100 if ratio > 1 else ratio


def _wanted(tool: Tool) -> list[int]:
    """Unknown ones are ignored, as in OpenVZ: so a number is, that is none."""
    found = []
    for word in tool.parsed.words:
        try:
            found.append(names.resolve(tool.host.paths, word))
        except BadValue:
            found.append(-1)
    return found


async def _counted(tool: Tool, wanted: Sequence[int]) -> list[Row]:
    return await running.counted(tool.host, running.rows(tool.host, wanted or None), user_beancounters.NAMES)


async def _resources(tool: Tool, wanted: Sequence[int]) -> list[Resource]:
    word = tool.parsed.last("file")
    if word is None:
        return [one for row in await _counted(tool, wanted) for one in user_beancounters.resources(row)]
    try:
        return list(user_beancounters.parse(await _text(tool, word)))
    except BadText as error:
        raise Failure(1, f"Error: {error}") from error
    except OSError as error:
        raise Failure(1, f"{word}: {error.strerror}") from error


async def _text(tool: Tool, word: str) -> str:
    if word == "-":
        async with Answers(tool.session) as said:
            return await said.all()
    with files.open_regular(typed_path(tool.session, word)) as file:
        if os.fstat(file.fileno()).st_size > answers.LONGEST:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), word)
        return file.read()


# What is shown


def _add(view: View, ctid: int | None, rows: Iterable[Resource]) -> None:
    if ctid is None and (view.failures or view.changes):
        raise Failure(1, "Error: can not use relative/incremental modes: BCID is unknown")
    found = list(_shown(view, rows))
    if found:
        view.lines += [*([""] if view.lines else []), *_heading(view, ctid), *found]


def _shown(view: View, rows: Iterable[Resource]) -> Iterator[str]:
    for row in rows:
        key = f"{row.ctid}.{row.name}"
        failures = view.failures.since(key, row.failcnt, falls=False) if view.failures else row.failcnt
        change = view.changes.since(key, row.held, falls=True) if view.changes else 0
        importance = _importance(view, row, failures)
        if change or not _hidden(view, row, importance):
            color, end = (_COLORS[importance], _NORMAL) if view.color else ("", "")
            yield color + _line(view, row, failures, change) + end


def _hidden(view: View, row: Resource, importance: int) -> bool:
    return (view.quiet and not importance) or (not view.verbose and row.barrier in NO_LIMIT)


def _importance(view: View, row: Resource, failures: int) -> int:
    barrier = row.barrier or row.limit
    if failures > 0 or row.held > barrier:
        return _FAILED
    close = row.held > barrier * view.held or row.maxheld > barrier * view.maxheld
    return _CLOSE if close else _FINE


def _line(view: View, row: Resource, failures: int, change: int) -> str:
    moved = f"{('+' if change > 0 else '-') + _short(row.name, abs(change)) if change else '':>7}"
    parts = [
        f"{row.name:>13}",
        _figures(row, row.held, moved if view.changes else ""),
        _figures(row, row.maxheld),
        f"{_short(row.name, row.barrier):>5}",
        f"{_short(row.name, row.limit):>5}",
        f" {_short('', failures):>5}",
    ]
    return "|".join(parts)


def _figures(row: Resource, held: int, moved: str = "") -> str:
    return f"{_short(row.name, held):>5}{moved} {_percent(held, row.barrier):>4} {_percent(held, row.limit):>4}"


def _heading(view: View, ctid: int | None) -> list[str]:
    bright, normal = (_BRIGHT, _NORMAL) if view.color else ("", "")
    moved, mark = ("  +/-  " if view.changes else ""), ("+" if view.failures else " ")
    who = -1 if ctid is None else ctid
    return [
        bright + _rule(view),
        f"CT {who!s:<10}| HELD{moved} Bar% Lim%| MAXH Bar% Lim%| BAR | LIM |{mark}FAIL",
        f"-------------+-{'-' * len(moved)}--------------+---------------+-----+-----+------{normal}",
    ]


def _rule(view: View) -> str:
    return "-" * (71 if view.changes else 64)


def _short(name: str, number: int) -> str:
    """In bytes if it is in pages; with a letter for powers of 1024, or a blank; nothing and no limit are alike."""
    if number == 0 or number in NO_LIMIT:
        return "- "
    value, power = (number * 4.0, 1) if name.endswith("pages") else (float(number), 0)
    while value >= 1024:
        value, power = value / 1024, power + 1
    return (f"{value:.3g}" if value < 100 else f"{int(value)}") + " KMGTPEZY"[power]


def _percent(part: int, whole: int) -> str:
    if whole == 0 or whole in NO_LIMIT:
        return "- "
    percent = round(part / whole * 100, 1)
    if percent == 0:
        return "- "
    if percent < 10:
        percent = float(f"{percent:.1g}")  # 10 of what is nearly that
        return f"{percent:g}%"
    return f"{int(percent)}%"
