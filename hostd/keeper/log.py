"""One line of the keeper in the log (its stderr, which is the caller's until hostd is up)."""

import posix
import time

MARK = " hostd : "  # tells the keeper's lines from the daemon's


def line(text: str) -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    try:
        posix.write(2, f"{stamp}{MARK}{text}\n".encode("utf-8", "surrogateescape"))
    except OSError:
        pass  # a full disk must not end the parent of every container
