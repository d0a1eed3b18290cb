"""vzcfgvalidate: do the beancounters of a configuration fit together?  Repairs them when asked to.

Findings go to standard error, what they are set to in a repair as well.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from hostd.command.grammar import Grammar, Option
from hostd.command.programs import Tool
from hostd.command.tools import conf_file
from hostd.command.tools.answers import Answers
from hostd.command.tools.machine import machine
from hostd.config import bounds, equations, values
from hostd.config.equations import Finding
from hostd.config.values import PAGE, Pair
from hostd.config.veconf import VeConf
from hostd.errors import Failure, Usage

OPTIONS = (
    Option("repair", "r"),
    Option("interactive", "i"),
    Option("vswap", "v", value=True),
    Option("help", "h"),
)
GRAMMAR = Grammar(OPTIONS, prog="vzcfgvalidate")
HELP = """Usage: vzcfgvalidate [-r|-i] [-v yes|no] FILE

  -r, --repair         put right what does not fit
  -i, --interactive    ask before each repair
  -v, --vswap yes|no   take it for a configuration of VSwap, or not; default: as its parameters are
"""
SUCCESS, PROBLEM = "Validation completed: success", 2

Repair = Callable[[Finding], Awaitable[bool]]  # is this to be put right?


async def run(tool: Tool) -> int:
    if len(tool.parsed.words) != 1:
        raise Usage("Usage: vzcfgvalidate [-r|-i] [-v yes|no] FILE")
    word = tool.parsed.words[0]
    conf = conf_file.load(tool, word, "Container configuration file {} not found")
    was = conf.copy()
    async with AsyncExitStack() as stack:
        repair = await _repair(tool, stack)
        if not await validate(tool, conf, repair, vswap=_vswap(tool)):
            return PROBLEM
    if repaired := {key: text for key, text in conf.items() if text != was.get(key)}:
        conf_file.put(tool, word, was, repaired)  # the user may have taken an hour to answer
    tool.console.note(SUCCESS)
    return 0


def _vswap(tool: Tool) -> bool | None:
    text = tool.parsed.last("vswap")
    if text is None:
        return None
    try:
        return values.yes_no(text)
    except ValueError as error:
        raise Usage(f"Invalid argument for -v: {text}") from error


async def _repair(tool: Tool, stack: AsyncExitStack) -> Repair:
    if not tool.parsed.has("interactive"):
        return always if tool.parsed.has("repair") else never
    answers = await stack.enter_async_context(Answers(tool.session))

    async def ask(finding: Finding) -> bool:
        """The answer is yes if it is none, and no when there is nobody to give one."""
        while True:
            tool.session.err(" (y/n) [y] ")
            line = await answers.line()
            if line is None or line[:1] in ("y", "n", ""):
                return line is not None and line[:1] != "n"

    return ask


async def always(finding: Finding) -> bool:
    return True


async def never(finding: Finding) -> bool:
    return False


async def validate(tool: Tool, conf: VeConf, repair: Repair, *, vswap: bool | None = None) -> bool:
    """Tell every finding, and put right in *conf* what is to be; True when no problem is left."""
    try:
        pairs = equations.pairs(conf)
    except ValueError as error:
        raise Failure(1, str(error)) from error
    if vswap is None:
        vswap = bounds.is_vswap(conf.get("PHYSPAGES"), conf.get("SWAPPAGES"))
    lost = equations.missing(pairs, vswap=vswap)
    for name in lost:
        tool.console.note(f"Error: parameter {name} not found")
    if lost:
        return False
    host = machine()
    good = True
    for check in equations.checks(host.ram // PAGE, host.swap // PAGE, vswap=vswap):
        finding = check(pairs)
        if finding is None:
            continue
        tool.console.note(finding.text)
        if repair is not never:
            tool.console.note(f"set to {_shown(finding.right)}")
        if await repair(finding):
            pairs[finding.name] = finding.right
            conf.set(finding.name.upper(), values.pair_text(finding.right))
        elif finding.problem:
            good = False
    return good


def _shown(pair: Pair) -> str:
    return f"{pair[0]}:{pair[1]}"
