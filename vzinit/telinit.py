"""/.vz/bin/telinit RUNLEVEL: what `init 6` and `telinit 6` of Debian 12 run when PID 1 is not systemd.

A program of its own (its `#!` line is `vzinit telinit`), not a part of PID 1.
"""

import posix
import sys

from vzinit import initctl


def main(arguments: list[str]) -> int:
    """Send the runlevel to PID 1; exit code 1 when that is not possible."""
    levels = [argument for argument in arguments if not argument.startswith("-")]
    if len(levels) != 1 or len(levels[0]) != 1 or levels[0] not in "0123456sSqQuU":
        posix.write(2, b"usage: telinit 0|1|2|3|4|5|6|s|q|u\n")
        return 1
    try:
        fd = posix.open(initctl.FIFO, posix.O_WRONLY | posix.O_NONBLOCK)
        posix.write(fd, initctl.request(initctl.SET_RUNLEVEL, levels[0]))
    except OSError as error:
        posix.write(2, f"telinit: {initctl.FIFO}: {error.strerror}\n".encode())
        return 1
    return 0


if __name__ == "vzinit.telinit":
    sys.exit(main(sys.argv[3:]))  # vzinit telinit /.vz/bin/telinit RUNLEVEL
