"""Writing files of a cgroup one after the other: all of them, or none."""

import errno
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hostd.cgroup import files
from hostd.errors import Exit, Failure

V1_UNLIMITED = "-1"


def or_max(value: int | None) -> str:
    """A limit as the files of v2 have it, and pids.max of v1; None: unlimited."""
    return "max" if value is None else str(value)


def _as_it_was(text: str) -> str:
    return text


@dataclass(frozen=True, slots=True)
class Write:
    """One file to be written.  *what* is how users call the limit; *shrink* is done before, to make room, and *busy*
    are the words for what the kernel could not make room for.

    *back* makes of what the file says now what has to be written to have that again: the same, where a file has one
    value and not one for each device.
    """

    path: str
    value: str
    what: str
    shrink: Callable[[], None] | None = None
    busy: Callable[[], str] | None = None
    back: Callable[[str], str] = _as_it_was


def perform(items: Iterable[Write]) -> None:
    """Write *items*.  Lazily: what comes next may depend on what has been written.

    Raises Failure(SETUBC) when the kernel refuses, as memory below what is in use.  Then everything is as it was, or
    the failure says what is not: memory that was allowed for a moment may have been filled in that.
    """
    undo: list[tuple[Write, str]] = []
    try:
        for item in items:
            undo.append((item, item.back(_old(item.path))))
            _set(item)
    except BaseException as error:
        stays = [item.path for item, value in reversed(undo) if not _restored(item, value)]
        if stays and isinstance(error, Failure):
            error.message += f"; what is in {' and '.join(stays)} could not be taken back"
        raise


def _old(path: str) -> str:
    try:
        return files.read(path)
    except OSError as error:
        raise _refused(path, error) from error


def _set(item: Write) -> None:
    try:
        if item.shrink is not None:
            item.shrink()
        files.write(item.path, item.value)
    except OSError as error:
        if error.errno == errno.EBUSY:
            text = item.busy() if item.busy is not None else f"cannot set {item.what} to {item.value}: more is in use"
            raise Failure(Exit.SETUBC, text) from error
        raise _refused(item.path, error, item) from error


def _restored(item: Write, value: str) -> bool:
    """The first error is the one to tell, unless something stays: what was refused itself has changed nothing."""
    try:
        files.write(item.path, value)
    except OSError:
        return item.back(files.read_optional(item.path) or "") in ("", value)
    return True


def _refused(path: str, error: OSError, item: Write | None = None) -> Failure:
    what = f"cannot set {item.what} to {item.value}" if item else "cannot read a limit"
    return Failure(Exit.SETUBC, f"{what}: {path}: {os.strerror(error.errno or 0)}")
