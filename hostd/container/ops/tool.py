"""A small change of what is inside, made by the container's own shell: a password, a key."""

from collections.abc import Iterable

from hostd.container import numproc
from hostd.container.container import Container
from hostd.container.ops import sessions
from hostd.errors import Exit, Failure
from hostd.log import printable


async def run(ct: Container, script: str, arguments: Iterable[str], data: str, *, failing: str) -> None:
    """Run *script* with *data* on stdin.  Raises Failure(74), which begins as *failing* and ends as the script did."""
    refused = numproc.refusals(ct)
    try:
        code, lines = await sessions.capture(ct, ["/bin/sh", "-c", script, "sh", *arguments], data.encode())
    except Failure as failure:
        raise _failed(f"{failing}: {failure.message}", failure.hint) from failure
    if code:
        said = [line for line in lines if line.strip()]
        hint = f"numproc is reached: {numproc.remedy(ct.ctid)}" if numproc.refusals(ct) > refused else ""
        raise _failed(f"{failing}: {printable(said[-1]) if said else f'code {code}'}", hint)


def _failed(text: str, hint: str) -> Failure:
    return Failure(Exit.CHANGEPASS, text, hint=hint)
