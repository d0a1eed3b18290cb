"""vzctl enter: a login shell on a terminal of the container."""

from hostd.command.call import Call
from hostd.errors import Usage


async def run(call: Call) -> int:
    command = _command(call.args)
    call.running()
    inside = False

    def entered() -> None:
        nonlocal inside
        inside = True
        call.console.show(f"entered into CT {call.ctid}\n")

    try:
        ended = await call.host.enter(call.ctid, command, call.session, entered)
    finally:
        if inside:
            call.console.show(f"exited from CT {call.ctid}\n")
    return ended.shell_code


def _command(args: tuple[str, ...]) -> str | None:
    """What `--exec` wants typed into the shell; its words are never parsed."""
    if not args:
        return None
    if args[0] != "--exec":
        raise Usage(f"Invalid options: {' '.join(args)} ")
    if len(args) == 1:
        raise Usage("vzctl: option '--exec' requires an argument")
    return " ".join(args[1:])
