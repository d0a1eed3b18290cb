"""vzctl restart: stop if running, start."""

from hostd.command import given
from hostd.command.call import Call
from hostd.command.host import StopOptions
from hostd.command.verbs.chkpnt import refuse
from hostd.command.verbs.start import LATER, boot, check
from hostd.errors import Exit, Failure


async def run(call: Call) -> int:
    refuse(call, LATER, Exit.INVALID_PARAMETER_SYNTAX)
    if call.config().disabled and not call.flag("force"):
        raise Failure(Exit.VE_START_DISABLED, "Container start disabled")
    call.private_area()
    check(call)
    keys = given.ssh_keys(call)
    call.console.say("Restarting container")
    if call.facts().stoppable:
        await call.host.stop(call.ctid, StopOptions(fast=call.flag("fast")), call.console.say)
    await boot(call, keys)
    return Exit.OK
