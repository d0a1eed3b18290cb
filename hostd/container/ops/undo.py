"""Taking back what a change has done so far.  What has to stay is told, and is from then on what runs."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from hostd.cgroup.limits import Limits
from hostd.cgroup.tree import CtCgroup
from hostd.container.host_side import take_back_limits
from hostd.container.record import Record
from hostd.errors import Exit, Failure, VzError
from hostd.log import log

Undo = Callable[[], Awaitable[None]]


class Stays(Failure):
    """Settings, *reasons* by the keys that are one to the kernel (`PHYSPAGES and SWAPPAGES`), stay as they are now."""

    def __init__(self, reasons: Mapping[str, Failure]) -> None:
        told = (f"{what} could not be taken back: {reason.message}" for what, reason in reasons.items())
        super().__init__(Exit.SETUBC, "; ".join(told))
        self.keys = frozenset(key for what in reasons for key in what.split(" and "))


async def limits(cgroup: CtCgroup, wanted: Limits, now: Limits | None = None) -> None:
    """Give it the limits that it had before.  Raises Stays."""
    if stays := await asyncio.to_thread(take_back_limits, cgroup, wanted, now):
        raise Stays(stays)


async def take_back(undos: Sequence[Undo], record: Record) -> str:
    """In reverse.  What of it stays, for people; *record* tells those settings as they are then."""
    told = []
    for undo in reversed(undos):
        try:
            await undo()
        except Stays as stays:
            log.error("%s", stays.message)
            keep(record, stays)
            told.append(stays.message)
        except Exception as error:
            log.exception("part of a change that failed cannot be taken back")
            told.append(f"something else could not be taken back: {text(error)}")
    return "; ".join(told)


def keep(record: Record, stays: Stays) -> None:
    record.live |= {key: text for key, text in record.setting.items() if key in stays.keys}


def failed(error: Exception, stays: str) -> Failure:
    """*error*, and what it leaves behind."""
    code = error.exit_code if isinstance(error, VzError) else Exit.SYSTEM
    return Failure(code, f"{text(error)}; {stays}", hint=error.hint if isinstance(error, VzError) else "")


def text(error: Exception) -> str:
    """Of *error*, for people."""
    match error:
        case VzError():
            return error.message
        case OSError():
            return error.strerror or type(error).__name__
    return f"{type(error).__name__}: {error}"
