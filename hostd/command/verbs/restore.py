"""vzctl restore (resume): from its dump back to running."""

import os

from hostd.command import in_use
from hostd.command.call import Call
from hostd.command.verbs.chkpnt import dumpfile, refuse
from hostd.errors import AlreadyRunning, Exit, Failure

LATER = ("undump", "resume", "kill", "skip-remount", "flags", "context")


async def run(call: Call) -> int:
    refuse(call, LATER, Exit.RESTORE)
    if call.facts().running:
        raise AlreadyRunning("Container is already running")
    path = dumpfile(call)
    _check_dump(path or call.host.paths.dump(call.ctid))
    call.private_area()
    in_use.check(call.host, call.ctid, call.config().addresses)
    await call.host.restore(call.ctid, path, call.console.say)
    return Exit.OK


def _check_dump(path: str) -> None:
    if not os.path.exists(path):
        raise Failure(Exit.RESTORE, f"Unable to open {path}: No such file or directory")
