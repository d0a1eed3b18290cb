"""vzcpucheck: the CPU weights of the containers that run, against the power of the host."""

from hostd.command.grammar import Grammar, Option
from hostd.command.programs import Tool
from hostd.command.tools import machine, running
from hostd.errors import Usage

OPTIONS = (Option("verbose", "v"), Option("help", "h"))
GRAMMAR = Grammar(OPTIONS, prog="vzcpucheck")
HELP = """Usage: vzcpucheck [-v]

  -v, --verbose   the weight of each container, too
"""
_HEAD = "VEID\t\tCPUUNITS\n-------------------------\n"


async def run(tool: Tool) -> int:
    if tool.parsed.words:
        raise Usage("Usage: vzcpucheck [-v]")
    units = {row.ctid: row.number("CPUUNITS") or 1000 for row in running.rows(tool.host)}
    power = machine.cpu_power()
    if tool.parsed.has("verbose"):
        tool.console.show(_HEAD + "".join(f"{ctid}\t\t{weight}\n" for ctid, weight in units.items()))
    total = sum(units.values())
    tool.console.show(f"Current CPU utilization: {total}\nPower of the node: {power}\n")
    if total > power:
        tool.console.show("Warning: hardware node is overcommitted\n")
    return 0
