"""vzctl mount."""

from hostd.command.call import Call
from hostd.errors import Exit


async def run(call: Call) -> int:
    if call.facts().mounted:
        call.console.error("Container is already mounted")
        return Exit.OK
    call.private_area()
    call.not_suspended()
    await call.host.mount(call.ctid, call.console.say)
    return Exit.OK
