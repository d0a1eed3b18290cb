"""Work on what a guest can hold up: its file systems may be programs of its own, which answer when they like.

Each has a thread to itself, so that those which are given up take no place from others.  Such a one goes on when it is
answered; at the latest it ends with the container.
"""

import asyncio
import errno
from collections.abc import Callable
from typing import TypeVar

from hostd.checkpoint.aside import begun

T = TypeVar("T")

PATIENCE = 5.0  # seconds: on a busy host it takes a small part of that


async def bounded(work: Callable[[], T], patience: float | None = None) -> T:
    """What *work* answers or raises; OSError(ETIMEDOUT) when that takes longer than *patience*, otherwise PATIENCE."""
    try:
        async with asyncio.timeout(PATIENCE if patience is None else patience):
            return await asyncio.wrap_future(begun(work, "guest"))
    except TimeoutError:
        raise OSError(errno.ETIMEDOUT, "its file systems do not answer") from None
