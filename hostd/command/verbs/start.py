"""vzctl start."""

from hostd.command import edge, given, in_use
from hostd.command.call import Call
from hostd.command.host import StartOptions
from hostd.command.verbs.chkpnt import refuse
from hostd.config import beancounters, combined
from hostd.errors import AlreadyRunning, BadCheckpoint, Exit, Failure, VzError
from hostd.userdata.logins import Logins
from hostd.userdata.sshkeys import PublicKey

LATER = ("skip-remount", "skip_ve_setup", "repair")


async def run(call: Call) -> int:
    refuse(call, LATER, Exit.INVALID_PARAMETER_SYNTAX)
    config = call.config()
    if config.disabled and not call.flag("force"):
        raise Failure(Exit.VE_START_DISABLED, "Container start disabled")
    call.private_area()
    if call.facts().running:
        raise AlreadyRunning("Container is already running")
    await boot(call, given.ssh_keys(call))
    return Exit.OK


def check(call: Call) -> None:
    """Raises what would keep the container from being started as it is configured: before it is stopped for that."""
    config = call.config()
    beancounters.check(config, call.host.confs.globals())
    combined.check(config)
    in_use.check(call.host, call.ctid, config.addresses)


async def boot(call: Call, ssh_keys: tuple[PublicKey, ...] = ()) -> None:
    """Start a container that is down: from its dump if there is one, otherwise from its init."""
    check(call)
    if call.facts().suspended and await _resumed(call):
        if ssh_keys:
            await call.host.set_logins(call.ctid, Logins(keys=ssh_keys))
        return
    await call.host.start(call.ctid, StartOptions(call.flag("wait"), ssh_keys), call.console.say)
    if call.flag("wait"):
        call.unlock()  # a command of a tenant's may take for ever: then a stop is what helps
        await call.host.all_up(call.ctid)
        call.console.say("Container started successfully")


async def _resumed(call: Call) -> bool:
    """False: what was saved is damaged, and can never come back.  Else a start would drop what may come back."""
    try:
        await call.host.restore(call.ctid, None, call.console.say)
    except BadCheckpoint as error:
        call.console.say(f"WARNING: {edge.report(error)[0]}; the container is started anew")
        return False
    except VzError as error:
        kept = f"it stays suspended; to start it anew, move {call.host.paths.dump(call.ctid)} away"
        error.hint = "; ".join(filter(None, (error.hint, kept)))
        raise
    return True
