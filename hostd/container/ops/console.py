"""console: somebody watches a terminal of the container, and types, from one start to the next."""

import asyncio
import socket

from hostd.container.container import Container
from hostd.container.init_link import ChannelLost
from hostd.container.ops.sessions import Terminal, link_of
from hostd.errors import NotRunning
from hostd.kernel.fd import Fd

DYING = 2.0  # seconds between the silence of a PID 1 that ends and the news of its end


async def console(ct: Container, tty: int, terminal: Terminal) -> None:
    """Show /dev/ttyN whenever *ct* is up, until the user detaches or a signal ends it; what was printed before comes
    first.

    Raises ChannelLost for a container that runs and does not answer, OSError for what its PID 1 refuses.
    """
    showing = asyncio.create_task(_over_its_starts(ct, tty, terminal))
    leaving = asyncio.create_task(_left(terminal))
    over: set[asyncio.Task[None]] = set()
    try:
        over, _ = await asyncio.wait({showing, leaving}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        pass  # a signal: another way to leave
    finally:
        showing.cancel()
        leaving.cancel()
    if leaving not in over:
        await terminal.hangup()  # what is said now finds the terminal as it is after ESC .
    if showing in over:
        showing.result()  # never ends but by raising


async def _left(terminal: Terminal) -> None:
    await terminal.detached.wait()


async def _over_its_starts(ct: Container, tty: int, terminal: Terminal) -> None:
    seen = 0
    while True:
        if not ct.awake.now:
            await terminal.relay_console(_ended_stream())
        seen = await ct.awake.after(seen)
        try:
            stream = await _attached(ct, tty)
        except (ChannelLost, NotRunning):
            if await _stays_up(ct):
                raise
        else:
            await terminal.relay_console(stream)


def _ended_stream() -> Fd:
    """What the command hears ESC . at while there is nothing to see, as when a container has stopped."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    theirs.close()
    return Fd(ours.detach(), "no console")


async def _attached(ct: Container, tty: int) -> Fd:
    """Our end of a stream whose other one PID 1 has."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    with ours, theirs:
        await link_of(ct).ask("console", [theirs.fileno()], tty=tty)
        return Fd(ours.detach(), "console")


async def _stays_up(ct: Container) -> bool:
    """Whether PID 1 is silent for another reason than its end."""
    try:
        async with asyncio.timeout(DYING):
            await ct.ended()
    except TimeoutError:
        return True
    return False
