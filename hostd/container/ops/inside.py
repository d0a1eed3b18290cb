"""A script of the host, brought into the container and run there."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from hostd.container.container import Container
from hostd.container.ops import sessions
from hostd.errors import VzError

_PATH = "/run/vz-script"
_SHELLS = ("/bin/bash", "/bin/sh")


@asynccontextmanager
async def brought_in(ct: Container, text: str, *, shell: bool = False) -> AsyncIterator[Sequence[Sequence[str]]]:
    """*text* as an executable file inside, for as long; yields the command lines to try, in order.

    Its first line may name the interpreter; otherwise, and with *shell*, it is a shell script.
    """
    path = f"{_PATH}.{ct.take_number()}"
    await sessions.link_of(ct).ask("write", path=path, mode="700", data=text)
    try:
        yield [[path]] if text.startswith("#!") and not shell else [[program, path] for program in _SHELLS]
    finally:
        with suppress(OSError, VzError):  # it is in /run, and ends with the container at the latest
            await sessions.quietly(ct, ["/bin/rm", "-f", path])
