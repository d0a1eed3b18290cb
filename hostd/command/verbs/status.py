"""vzctl status: one line, whatever the state; never fails, never locks."""

from hostd.command.call import Call
from hostd.errors import Exit


async def run(call: Call) -> int:
    facts = call.facts()
    words = [
        f"CTID {call.ctid}",
        "exist" if facts.exists else "deleted",
        "mounted" if facts.mounted else "unmounted",
        "running" if facts.running else "down",
    ]
    if facts.exists and facts.suspended and not facts.running:
        words.append("suspended")
    call.console.show(" ".join(words) + "\n")
    return Exit.OK
