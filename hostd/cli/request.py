"""The first message of a command: its arguments, and what hostd must know of its terminal."""

import posix

from hostd.cli import place
from vzinit.protocol import encode


def frame(prog: str, argv: list[str]) -> bytes:
    """Raises BadFrame when that is more than fits into one message."""
    cols, rows = window_size()
    return encode(
        "run",
        prog=prog,
        arg=argv,
        uid=posix.getuid(),
        tty=int(posix.isatty(0)),
        rows=rows,
        cols=cols,
        term=place.environment("TERM", "linux"),
        cwd=working_directory(),
    )


def window_size() -> tuple[int, int]:
    """Columns and rows of the terminal, 80 and 24 when there is none."""
    for fd in (0, 1, 2):
        try:
            cols, rows = posix.get_terminal_size(fd)
        except OSError:
            continue
        if cols and rows:
            return cols, rows
    return 80, 24


def working_directory() -> str:
    try:
        return posix.getcwd()
    except OSError:  # it was removed
        return "/"
