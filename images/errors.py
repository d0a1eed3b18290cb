"""What stops a build, and how it is told."""

import sys
from collections.abc import Callable


class BuildError(Exception):
    """The message says what is missing or what failed, or what forbids it."""


def told(prog: str, work: Callable[[], object]) -> int:
    """Do *work*; the exit code of the program, after one line about what stopped it."""
    try:
        work()
    except (BuildError, OSError) as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 1
    return 0
