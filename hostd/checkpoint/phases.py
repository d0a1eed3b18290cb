"""How long each part of a dump or restore takes, for the debug log."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from hostd.log import log


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Log the time of what is done inside as that of *name*, such as `dump: criu`."""
    started = time.monotonic_ns()
    yield
    log.debug("%s %.1f ms", name, (time.monotonic_ns() - started) / 1e6)
