"""vzctl stop."""

from hostd.command.call import Call
from hostd.command.host import StopOptions
from hostd.errors import Exit


async def run(call: Call) -> int:
    if not call.facts().stoppable:
        call.console.error("Unable to stop: container is not running")
        return Exit.OK
    options = StopOptions(fast=call.flag("fast"), skip_umount=call.flag("skip-umount"))
    await call.host.stop(call.ctid, options, call.console.say)
    return Exit.OK
