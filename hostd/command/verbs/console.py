"""vzctl console: attach to a terminal of the container, its boot messages included."""

from hostd.command.call import Call
from hostd.config.values import integer
from hostd.errors import BadValue, Exit


async def run(call: Call) -> int:
    word = next(iter(call.parsed.words), "1")
    try:
        tty = integer(1, 12)(word)
    except ValueError as error:
        raise BadValue(f"Bad tty number: {word}", hint=str(error)) from error
    call.console.note(f"Attached to CT {call.ctid} (ESC . to detach)")
    try:
        await call.host.console(call.ctid, tty, call.session)
    finally:
        call.console.note(f"Detached from CT {call.ctid}")
    return Exit.OK
