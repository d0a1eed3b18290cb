"""Exceptions become a line for the user and an exit code here, and nowhere else."""

import os

from hostd.errors import Exit, VzError
from hostd.log import log, printable
from vzinit.protocol import BadFrame


def report(error: Exception) -> tuple[str, int]:
    """(text, exit code) of *error*, fit for a terminal.

    What is nobody's mistake but ours goes to the log with its traceback.
    """
    text, code = _told(error)
    return "\n".join(map(printable, text.split("\n"))), code


def _told(error: Exception) -> tuple[str, int]:
    match error:
        case VzError():
            return _with_hint(error), error.exit_code
        case TimeoutError():
            return _noted(error, "operation timed out"), Exit.SYSTEM
        case OSError():
            return _noted(error, _os_text(error)), Exit.SYSTEM
        case BadFrame():
            return _noted(error, f"broken message: {error}"), Exit.SYSTEM
        case ExceptionGroup():
            return _told(error.exceptions[0])
    log.error("internal error", exc_info=error)
    return _noted(error, f"internal error: {type(error).__name__}: {error}"), Exit.SYSTEM


def _with_hint(error: VzError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message


def _os_text(error: OSError) -> str:
    text = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
    return f"{error.filename}: {text}" if error.filename is not None else text


def _noted(error: Exception, text: str) -> str:
    """*text* behind what was being done: the innermost note says it best, the outer ones are for the log."""
    notes: list[str] = getattr(error, "__notes__", [])
    if len(notes) > 1:
        log.error("%s: %s", ": ".join(reversed(notes)), text)
    return f"Error: {notes[0]}: {text}" if notes else f"Error: {text}"
