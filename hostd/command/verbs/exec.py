"""vzctl exec, exec2 and exec3: a command inside, with three pipes for its input and output.

exec answers 8 for every failure; exec2 and exec3 answer the command's own code, 31 when the container is
down, and as a shell does 127 or 126 for a program that is not there or cannot be executed.
"""

import errno
from collections.abc import Sequence

from hostd.command.call import Call
from hostd.errors import Exit, Failure, Usage, VzError

ENVIRONMENT = {
    "HOME": "/",
    "TERM": "linux",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}
_SHELLS = ("/bin/bash", "/bin/sh")
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR)
_NO_PROGRAM = (errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.EISDIR, errno.ELOOP, errno.ETXTBSY)


async def run(call: Call) -> int:
    if not call.args:
        raise Usage(f"No command line given for {call.verb}")
    try:
        call.running()
        ended = await call.host.exec(call.ctid, _candidates(call), ENVIRONMENT, call.session)
    except VzError as error:
        if call.verb == "exec":
            raise Failure(Exit.COMMAND_EXECUTION, error.message, hint=error.hint) from error
        raise
    except OSError as error:
        text = f"Unable to execute {_shown(call)}: {error.strerror or error}"
        raise Failure(_code(call, error.errno), text) from error
    if ended.refused:
        call.console.note(f"Warning: numproc was reached meanwhile: raise it with `vzctl set {call.ctid} --numproc N`")
    if call.verb == "exec":
        return Exit.COMMAND_EXECUTION if ended.shell_code else Exit.OK
    return ended.shell_code


def _code(call: Call, number: int | None) -> int:
    if call.verb == "exec":
        return Exit.COMMAND_EXECUTION
    return 127 if number in _NOT_THERE else 126 if number in _NO_PROGRAM else Exit.COMMAND_EXECUTION


def _candidates(call: Call) -> list[Sequence[str]]:
    if call.verb == "exec3":
        return [call.args]
    if call.args == ("-",):
        return [(shell, "-s") for shell in _SHELLS]
    line = " ".join(word or "''" for word in call.args)
    return [(shell, "-c", line) for shell in _SHELLS]


def _shown(call: Call) -> str:
    return call.args[0] if call.verb == "exec3" else " or ".join(_SHELLS)
