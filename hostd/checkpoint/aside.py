"""A thread for one piece of work, with which it ends: it may take itself into other namespaces, or wait for ever.

For what a guest can hold up, too: its file systems may be programs of its own, which answer when they like.  Work that
is given up takes no place from other work; it goes on when it is answered, and ends with the container at the latest.
What such work changes behind the last thing that a guest can hold up, it changes only if `commit` says so.
"""

import asyncio
import errno
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar, copy_context
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 5.0  # seconds: on a busy host it takes a small part of that
SILENT = "its file systems do not answer"


class _Turn:
    """Who has the last word about bounded work: its thread, which begins to change things, or who gave it up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def take(self) -> bool:
        """True for the first who asks."""
        return self._lock.acquire(blocking=False)


_turn: ContextVar[_Turn] = ContextVar("turn")


async def aside(work: Callable[[], T]) -> T:
    """What *work* answers or raises, run in a thread of its own.

    It is not interruptible: a cancelled caller waits for the end all the same, then is cancelled.
    """
    waiting = asyncio.wrap_future(begun(work, "criu"))
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        await asyncio.wait([waiting])
        raise


async def bounded(work: Callable[[], T], patience: float = PATIENCE) -> T:
    """What *work* answers or raises, by a thread of its own; TimeoutError when that takes longer than *patience*.

    Who is cancelled has given it up as well.
    """
    turn = _Turn()
    of_others = _turn.set(turn)
    waiting = asyncio.wrap_future(begun(work, "guest"))
    _turn.reset(of_others)
    try:
        async with asyncio.timeout(patience):
            return await asyncio.shield(waiting)
    except TimeoutError:
        if not turn.take():
            return await waiting
        waiting.cancel()  # nobody asks any more what becomes of it
        raise TimeoutError(errno.ETIMEDOUT, SILENT) from None
    except asyncio.CancelledError:
        if turn.take():
            waiting.cancel()
        else:
            await asyncio.wait((waiting,))
        raise


def commit() -> bool:
    """For bounded work that no guest can hold up any more, before it changes anything: True when it is waited for, and
    that it will be to its end now.  Once.
    """
    turn = _turn.get(None)
    return turn is None or turn.take()


def begun(work: Callable[[], T], name: str) -> "Future[T]":
    """The same, for a caller who need not wait for the end."""
    outcome: Future[T] = Future()
    outcome.set_running_or_notify_cancel()  # else nobody may set it after a caller was cancelled
    context = copy_context()
    threading.Thread(target=lambda: _run_into(outcome, lambda: context.run(work)), name=name, daemon=True).start()
    return outcome


def _run_into(outcome: "Future[T]", work: Callable[[], T]) -> None:
    try:
        outcome.set_result(work())
    except BaseException as error:
        outcome.set_exception(error)
        del outcome  # the exception refers to this frame
