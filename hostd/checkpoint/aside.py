"""A thread for one piece of work, with which it ends: it may take itself into other namespaces, or wait for ever."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


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
