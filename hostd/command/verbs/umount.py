"""vzctl umount."""

from hostd.command.call import Call
from hostd.errors import AlreadyRunning, Exit, Failure


async def run(call: Call) -> int:
    facts = call.facts()
    if facts.running:
        raise AlreadyRunning("Container is running. Stop it first.")
    if not facts.mounted:
        raise Failure(Exit.FS_NOT_MOUNTED, "CT is not mounted")
    await call.host.umount(call.ctid, call.console.say)
    return Exit.OK
