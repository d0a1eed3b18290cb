"""vzctl check: what this host can do, and what follows from what it cannot."""

from hostd.command.call import Call
from hostd.errors import Exit


async def run(call: Call) -> int:
    rows = call.host.check()
    width = max((len(row.name) for row in rows), default=0)
    for row in rows:
        state = "yes" if row.present else "no "
        line = f"{row.name:<{width}}  {state}  {'' if row.present else row.consequence}"
        call.console.show(line.rstrip() + "\n")
    return Exit.OK
