"""vzctl destroy (delete)."""

from hostd.command.call import Call
from hostd.errors import Exit


async def run(call: Call) -> int:
    facts = call.facts()
    if facts.running:  # both refusals go to stdout, as OpenVZ's do
        call.console.say("Container is currently running. Stop it first.")
        return Exit.VE_RUNNING
    if facts.mounted:
        call.console.say("Container is currently mounted (umount first)")
        return Exit.FS_MOUNTED
    await call.host.destroy(call.ctid, call.console.say)
    return Exit.OK
