"""A thread for one piece of work, with which it ends: it may take itself into other namespaces, or wait for ever.

For what a guest can hold up, too: its file systems may be programs of its own, which answer when they like.  Work that
is given up takes no place from other work; it goes on when it is answered, and ends with the container at the latest.
"""

import asyncio
import errno
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 5.0  # seconds: on a busy host it takes a small part of that
SILENT = "its file systems do not answer"


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
    """What *work* answers or raises, by a thread of its own; TimeoutError when that takes longer than *patience*."""
    try:
        async with asyncio.timeout(patience):
            return await asyncio.wrap_future(begun(work, "guest"))
    except TimeoutError:
        raise TimeoutError(errno.ETIMEDOUT, SILENT) from None


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
