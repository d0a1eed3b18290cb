"""A thread for one dump or restore: it takes itself into other namespaces and ends with its work."""

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
    outcome: Future[T] = Future()
    context = copy_context()
    threading.Thread(target=lambda: _run_into(outcome, lambda: context.run(work)), name="criu", daemon=True).start()
    waiting = asyncio.wrap_future(outcome)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        await asyncio.wait([waiting])
        raise


def _run_into(outcome: "Future[T]", work: Callable[[], T]) -> None:
    try:
        outcome.set_result(work())
    except BaseException as error:
        outcome.set_exception(error)
        del outcome  # the exception refers to this frame
