"""vzctl start."""

from hostd.command import edge, in_use
from hostd.command.call import Call
from hostd.command.host import StartOptions
from hostd.config import beancounters
from hostd.errors import AlreadyRunning, Exit, Failure, VzError


async def run(call: Call) -> int:
    config = call.config()
    if config.disabled and not call.flag("force"):
        raise Failure(Exit.VE_START_DISABLED, "Container start disabled")
    call.private_area()
    if call.facts().running:
        raise AlreadyRunning("Container is already running")
    await boot(call)
    return Exit.OK


async def boot(call: Call) -> None:
    """Start a container that is down: from its dump if there is one, otherwise from its init."""
    beancounters.check(call.config(), call.host.confs.globals())
    in_use.check(call.host, call.ctid, call.config().addresses)
    if call.facts().suspended and await _resumed(call):
        return
    options = StartOptions(
        wait=call.flag("wait"),
        skip_fsck=call.flag("skip-fsck"),
        skip_remount=call.flag("skip-remount"),
        skip_ve_setup=call.flag("skip_ve_setup"),
    )
    await call.host.start(call.ctid, options, call.console.say)


async def _resumed(call: Call) -> bool:
    try:
        await call.host.restore(call.ctid, None, call.console.say)
    except VzError as error:
        call.console.say(f"WARNING: {edge.report(error)[0]}; the container is started anew")
        return False
    return True
