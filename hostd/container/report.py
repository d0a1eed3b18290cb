"""Where an operation says what it does: one line of progress at a time, for the person who asked."""

from collections.abc import Callable

from hostd.log import log

Report = Callable[[str], None]


def to_log(line: str) -> None:
    """The report of an operation that nobody asked for: a reboot from inside, a clean-up after a crash."""
    log.info("%s", line)
