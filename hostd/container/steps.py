"""An operation is a list of steps; all of them happen, or none.

A step's undo must be idempotent and must work from the record and the kernel alone: after a crash the next daemon
runs the same undos without knowing how far the dead one came.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from hostd.container import faults
from hostd.log import log, timed

Context = TypeVar("Context")


async def nothing(_context: object) -> None:
    """The undo of a step that leaves nothing behind."""


@dataclass(frozen=True)
class Step(Generic[Context]):
    """One step of an operation on *Context*.

    A cancelled operation waits for the step it is in, unless that `stops` by itself: one that is cancelled has ended
    all it began, or leaves it to its undo.  Of one that `seals` the operation there is no way back once it is done:
    being cancelled meanwhile comes too late.
    """

    name: str
    do: Callable[[Context], Awaitable[None]]
    undo: Callable[[Context], Awaitable[None]] = nothing
    stops: bool = False
    seals: bool = False


async def whole(work: Awaitable[None]) -> None:
    """Wait for *work* to its end, even when cancelled meanwhile; then be cancelled.

    What a worker thread has begun cannot be stopped: an undo beside it would find nothing, and leave all of it.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await _end_of(task)
        raise


async def unstoppable(work: Awaitable[None]) -> None:
    """Wait for *work* to its end; being cancelled meanwhile comes too late, and is not heard when it succeeds."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await _end_of(task)
        current = asyncio.current_task()
        while current is not None and current.cancelling():
            current.uncancel()
        task.result()


async def _end_of(task: "asyncio.Future[None]") -> None:
    """However often whoever waits is cancelled."""
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task})


def together(name: str, *steps: Step[Context]) -> Step[Context]:
    """One step that does *steps* at the same time, and undoes them so; they must not depend on each other.

    When one fails, the others are let finish before everything is undone.
    """

    async def one(step: Step[Context], context: Context) -> None:
        with timed(f"{name}: {step.name}"):
            await step.do(context)
        faults.point(f"{name}.{step.name}")

    async def do(context: Context) -> None:
        for outcome in await asyncio.gather(*(one(step, context) for step in steps), return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def back(context: Context) -> None:
        await asyncio.gather(*(undo((step,), context) for step in reversed(steps)))

    return Step(name, do, back)


async def run(operation: str, steps: Sequence[Step[Context]], context: Context) -> None:
    """Do all *steps* in order; when one fails, undo it and those before it in reverse and let the error pass."""
    begun: list[Step[Context]] = []
    try:
        for step in steps:
            faults.point(f"{operation}.{step.name}")
            begun.append(step)
            with timed(f"{operation}: {step.name}"):
                await _done(step, context)
        faults.point(f"{operation}.end")
    except BaseException as error:
        if isinstance(error, Exception) and begun:
            error.add_note(f"{operation}: {begun[-1].name}")
        await undo(begun, context)
        raise


def _done(step: Step[Context], context: Context) -> Awaitable[None]:
    work = step.do(context)
    return work if step.stops else unstoppable(work) if step.seals else whole(work)


async def undo(steps: Sequence[Step[Context]], context: Context) -> None:
    """Undo *steps* in reverse order.  One undo that fails is logged and does not stop the others.

    Neither does being cancelled: only a step that `stops` hears of it; it passes when all are undone.
    """
    cancelled: asyncio.CancelledError | None = None
    for step in reversed(steps):
        faults.point(f"undo.{step.name}")
        try:
            with timed(f"undo: {step.name}"):
                await (step.undo(context) if step.stops else whole(step.undo(context)))
        except asyncio.CancelledError as error:
            cancelled = error
        except Exception:
            log.exception("undo of step %s failed", step.name)
    if cancelled is not None:
        raise cancelled
