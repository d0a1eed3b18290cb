"""vzctl runscript: a script file of the host, run inside."""

import os

from hostd.command.call import Call
from hostd.errors import Exit, Failure, Usage
from hostd.kernel.fd import Fd


async def run(call: Call) -> int:
    if not call.parsed.words:
        raise Usage("Script not specified")
    script = _open(call.host_path(call.parsed.words[0]))
    if not call.facts().running:
        call.private_area()
        call.not_suspended()
    with script:
        ended = await call.host.runscript(call.ctid, script, call.session)
    return ended.shell_code


def _open(path: str) -> Fd:
    if not os.path.isfile(path):
        raise Failure(Exit.NOSCRIPT, f"Script not found: {path}")
    return Fd.open(path, os.O_RDONLY)
