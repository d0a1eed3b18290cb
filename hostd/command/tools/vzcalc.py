"""vzcalc: how much of the host one container uses, was promised, and may use at most, in percent."""

from collections.abc import Iterable

from hostd.command.grammar import Grammar, Option
from hostd.command.programs import Tool
from hostd.command.row import Row, conf_of
from hostd.command.tools import accounting, running
from hostd.command.tools.machine import Machine, machine
from hostd.config import names
from hostd.errors import BadValue, Failure, NoConfig, Usage

OPTIONS = (Option("verbose", "v"), Option("help", "h"))
GRAMMAR = Grammar(OPTIONS, prog="vzcalc")
HELP = """Usage: vzcalc [-v] CTID|NAME

  -v, --verbose   each resource, and not only the highest
"""
_HEADING = "Resource     Current(%)  Promised(%)  Max(%)\n"
_RULE = "-" * 44 + "\n"

Figures = tuple[float | None, float | None, float | None]  # current, promised, most: where there is one
Share = tuple[str, Figures]


async def run(tool: Tool) -> int:
    if len(tool.parsed.words) != 1:
        raise Usage("Usage: vzcalc [-v] CTID|NAME")
    row = _row(tool, tool.parsed.words[0])
    if row.facts.running:
        (row,) = await running.counted(tool.host, [row], accounting.USED)
    shares = _shares(row, machine())
    lines = [_HEADING]
    if tool.parsed.has("verbose"):
        lines += [*map(_line, shares), _RULE]
    current, promised, most = (_highest(figures[index] for _, figures in shares) for index in range(3))
    lines.append(_line(("Memory", (current, promised, most))))
    tool.console.show("".join(lines))
    return 0


def _highest(figures: Iterable[float | None]) -> float | None:
    return max((figure for figure in figures if figure is not None), default=None)


def _row(tool: Tool, word: str) -> Row:
    try:
        ctid = names.resolve(tool.host.paths, word)
    except BadValue as error:
        raise Failure(1, f"Invalid CT ID: {word}") from error
    try:
        conf_of(tool.host, ctid, tool.host.facts(ctid))  # raises for a damaged one, of which `row` would tell
        return running.row(tool.host, ctid)
    except NoConfig as error:
        path = tool.host.paths.ct_conf(ctid)
        raise Failure(1, f"Container configuration file: {path} not found") from error


def _shares(row: Row, host: Machine) -> list[Share]:
    used, promised, most = accounting.used(row), accounting.promised(row, host), accounting.most(row, host)
    low, total = max(1.0, host.low * accounting.LOW_PART), host.ram + host.swap
    limits, tasks = row.limits("numproc"), row.usage.counters.get("numproc")
    most_tasks = host.threads if limits is None else min(limits[1], host.threads)
    figures: list[Share] = [
        ("Low Mem", (used.kernel / low, promised.kernel / low, most.kernel / low)),
        ("Total RAM", (used.ram / host.ram, None, None)),
        ("Mem + Swap", (used.ram_and_swap / total, promised.ram_and_swap / total, None)),
        ("Alloc. Mem", (used.allocated / total, promised.allocated / total, most.allocated / total)),
        ("Num. Proc", ((tasks.held if tasks else 0) / host.threads, None, most_tasks / host.threads)),
    ]
    if row.facts.running:
        return figures
    return [(name, (None, promise, highest)) for name, (_, promise, highest) in figures]


def _line(share: Share) -> str:
    name, figures = share
    cells = ["n/a" if figure is None else f"{figure * 100:.2f}" for figure in figures]
    return f"{name:<10} {cells[0]:>10} {cells[1]:>10} {cells[2]:>10}\n"
