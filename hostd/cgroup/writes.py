"""Writing files of a cgroup one after the other: all of them, or none."""

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

from hostd.cgroup import files
from hostd.errors import Exit, Failure

V1_UNLIMITED = "-1"


def or_max(value: int | None) -> str:
    """A limit as the files of v2 have it, and pids.max of v1; None: unlimited."""
    return "max" if value is None else str(value)


def _as_it_was(text: str) -> str:
    return text


class Write(NamedTuple):
    """One file to be written.  *what* is how users call the limit; *shrink* is done before, to make room, and *busy*
    are the words for what the kernel could not make room for.

    *back* makes of what the file says now what has to be written to have that again: the same, where a file has one
    value and not one for each device; *shrink_back* makes room for that.  *inner*: of a cgroup of the guest's, who may
    have removed it: then there is nothing to do.  *code*: what a command ends with when the kernel refuses it.
    """

    path: str
    value: str
    what: str
    shrink: Callable[[], None] | None = None
    busy: Callable[[], str] | None = None
    back: Callable[[str], str] = _as_it_was
    shrink_back: Callable[[], None] | None = None
    inner: bool = False
    code: Exit = Exit.SETUBC

    def reversal(self) -> "Write":
        """What takes it back, as long as it has not been done."""
        try:
            before = files.read(self.path)
        except OSError as error:
            raise _refused(self, "cannot read a limit", error) from error
        return self._replace(value=self.back(before), shrink=self.shrink_back, shrink_back=self.shrink)


def perform(items: Iterable[Write]) -> list[Write]:
    """Write *items*.  Lazily: what comes next may depend on what has been written.  Returns what takes them back.

    Raises Failure, with the `code` of what the kernel refuses, as of memory below what is in use.  Then everything is
    as it was, as far as the kernel has it: memory that was allowed for a moment may have been filled in that.
    """
    undo: list[Write] = []
    try:
        for item in items:
            try:
                undo.insert(0, item.reversal())
                _set(item)
            except Failure as failure:
                if not (item.inner and _is_gone(failure)):
                    raise
    except BaseException:
        for item in undo:
            with suppress(OSError):  # the first error is the one to tell
                files.write(item.path, item.value)
        raise
    return undo


def _set(item: Write) -> None:
    try:
        if item.shrink is not None:
            item.shrink()
        files.write(item.path, item.value)
    except OSError as error:
        if error.errno == errno.EBUSY:
            text = item.busy() if item.busy is not None else f"cannot set {item.what} to {item.value}: more is in use"
            raise Failure(item.code, text) from error
        raise _refused(item, f"cannot set {item.what} to {item.value}", error) from error


def _is_gone(failure: Failure) -> bool:
    """ENODEV: it was removed while its file was open."""
    return isinstance(failure.__cause__, OSError) and failure.__cause__.errno in (errno.ENOENT, errno.ENODEV)


def _refused(item: Write, what: str, error: OSError) -> Failure:
    return Failure(item.code, f"{what}: {item.path}: {os.strerror(error.errno or 0)}")
