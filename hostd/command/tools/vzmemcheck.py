"""vzmemcheck: how much of the host's memory the running containers use, and how much they were promised."""

from collections.abc import Sequence

from hostd.command.grammar import Grammar, Option
from hostd.command.programs import Tool
from hostd.command.tools import accounting, running
from hostd.command.tools.accounting import Memory
from hostd.command.tools.machine import Machine, machine
from hostd.errors import Usage

OPTIONS = (Option("verbose", "v"), Option("absolute", "A"), Option("help", "h"))
GRAMMAR = Grammar(OPTIONS, prog="vzmemcheck")
HELP = """Usage: vzmemcheck [-v] [-A]

  -v, --verbose    a row for each container, too
  -A, --absolute   in Mbytes instead of percent
"""
_COLUMNS = (
    ("LowMem", "util"), ("LowMem", "commit"), ("RAM", "util"), ("MemSwap", "util"),
    ("MemSwap", "commit"), ("Alloc", "util"), ("Alloc", "commit"), ("Alloc", "limit"),
)  # fmt: skip
_MARGIN = 11  # where the CTID is
_RULE = "-" * 74
_MIB = 1 << 20


async def run(tool: Tool) -> int:
    if tool.parsed.words:
        raise Usage("Usage: vzmemcheck [-v] [-A]")
    verbose, absolute = tool.parsed.has("verbose"), tool.parsed.has("absolute")
    host = machine()
    whole = _whole(host)
    parts = [_MIB] * len(_COLUMNS) if absolute else [one / 100 for one in whole]
    rows = await running.counted(tool.host, running.rows(tool.host), accounting.USED)
    total = [0.0] * len(_COLUMNS)
    lines = [f"Output values in {'Mbytes' if absolute else '%'}", *_heading(verbose)]
    for row in rows:
        figures = _figures(accounting.used(row), accounting.promised(row, host), accounting.most(row, host))
        total = [sum(pair) for pair in zip(total, figures, strict=True)]
        if verbose:
            lines.append(f"{row.ctid:<{_MARGIN - 1}d} {_numbers(figures, parts)}")
    if verbose:
        lines.append(_RULE)
    lines.append(("Summary:   " if verbose else "") + _numbers(total, parts))
    if absolute:
        lines.append((" " * _MARGIN if verbose else "") + _numbers(whole, parts))
    tool.console.show("".join(f"{line}\n" for line in lines))
    return 0


def _whole(host: Machine) -> list[float]:
    """What the host has for each column; 1 where that would be nothing."""
    low, total = host.low * accounting.LOW_PART, host.ram + host.swap
    return [max(1, one) for one in (low, low, host.ram, total, total, total, total, total)]


def _figures(used: Memory, promised: Memory, most: Memory) -> list[float]:
    return [
        *(used.kernel, promised.kernel, used.ram, used.ram_and_swap),
        *(promised.ram_and_swap, used.allocated, promised.allocated, most.allocated),
    ]


def _numbers(figures: Sequence[float], parts: Sequence[float]) -> str:
    return " ".join(f"{figure / part:7.2f}" for figure, part in zip(figures, parts, strict=True))


def _heading(verbose: bool) -> list[str]:
    margins = (f"{'CTID':<{_MARGIN}}", " " * _MARGIN) if verbose else ("", "")
    return [
        margin + " ".join(f"{words[index]:>7}" for words in _COLUMNS) for index, margin in enumerate(margins)
    ]
