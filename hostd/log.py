"""Logging of the daemon: stdlib logging, one line each, prefixed with the container it is about.

No text can forge a second line or reach the terminal of who reads the log: control characters are escaped.

The file is OpenVZ's `vzctl.log` format (`2026-11-20T15:05:50+0000 vzctl : CT 101 : text`), which tools grep.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

current_ct: ContextVar[int | None] = ContextVar("current_ct", default=None)
_listeners: ContextVar[Sequence[Callable[[str], bool]]] = ContextVar("listeners", default=())

log = logging.getLogger("vzhost")


def printable(text: str) -> str:
    """*text* on one line, with everything that is not printable escaped as in Python: `\\x1b`, `\\n`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


class _Line(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s vzctl : %(ct)s%(message)s", "%Y-%m-%dT%H:%M:%S%z")

    def format(self, record: logging.LogRecord) -> str:
        ctid = current_ct.get()
        record.ct = f"CT {ctid} : " if ctid is not None else ""
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:
        return printable(super().formatMessage(record))

    def formatException(self, ei: object) -> str:
        text = super().formatException(ei)  # type: ignore[arg-type]
        return "\n".join("\t" + printable(line) for line in text.splitlines())


@contextmanager
def about(ctid: int) -> Iterator[None]:
    """Everything logged inside is about container *ctid*."""
    token = current_ct.set(ctid)
    try:
        yield
    finally:
        current_ct.reset(token)


@contextmanager
def listening(listener: Callable[[str], bool]) -> Iterator[None]:
    """Offer every `detail` of what is done inside, and meanwhile in the tasks begun there, to *listener*."""
    listeners = [listener]
    token = _listeners.set(listeners)
    try:
        yield
    finally:
        listeners.clear()  # whatever was begun inside keeps the variable, for as long as a container runs
        _listeners.reset(token)


def detail(text: str, *, level: int = logging.DEBUG) -> None:
    """What only who asks for details wants to know: the listener (False: not interested), and the log, where it is
    of *level* when nobody listens.
    """
    heard = any([listener(printable(text)) for listener in _listeners.get()])
    log.log(logging.INFO if heard else level, "%s", text)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Tell as a detail how long it takes: `WHAT 1.2 ms`, `WHAT failed after 1.2 ms`."""
    started = time.monotonic_ns()
    how = " failed after"
    try:
        yield
        how = ""
    finally:
        detail(f"{what}{how} {(time.monotonic_ns() - started) / 1e6:.1f} ms")


def to_file(path: str, *, debug: bool = False) -> None:
    """Send the log to *path*, appending; with *debug* also the steps of every operation."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640))
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(_Line())
    log.handlers[:] = [handler]
    log.setLevel(logging.DEBUG if debug else logging.INFO)
    log.propagate = False
