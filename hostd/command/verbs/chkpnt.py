"""vzctl chkpnt (suspend): freeze to disk."""

from hostd.command.call import Call
from hostd.errors import Exit, Failure, NotRunning

LATER = (
    *("suspend", "dump", "resume", "kill", "keep_pages", "unfreeze", "stop-tracker", "create-devmap"),
    *("flags", "context"),
)


async def run(call: Call) -> int:
    refuse(call, LATER, Exit.CHKPNT)
    if not call.facts().running:
        raise NotRunning("Unable to setup checkpointing: container is not running")
    await call.host.chkpnt(call.ctid, dumpfile(call), call.console.say)
    return Exit.OK


def dumpfile(call: Call) -> str | None:
    path = call.parsed.last("dumpfile")
    return None if path is None else call.host_path(path)


def refuse(call: Call, later: tuple[str, ...], code: int) -> None:
    for option in later:
        if call.flag(option):
            raise Failure(code, f"--{option} is not supported yet")
