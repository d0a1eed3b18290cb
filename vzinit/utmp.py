"""/run/utmp with the one record that programs look for: the current runlevel.  Runs in the planner.

`halt`, `runlevel` and invoke-rc.d read it.  Layout: utmp(5), glibc's bits/utmp.h.
"""

import posix
import sys
import time

PATH = "/run/utmp"
RUN_LVL = 1
UTMP_GROUP = 43  # Debian's; a container without such a group does not mind
TIME32 = (
    "x86_64",
    "i386",
    "i686",
    "ppc64le",
    "s390x",
    "mips64",
)  # 64-bit programs share the 32-bit record there


def write(runlevel: str) -> None:
    """Start a new /run/utmp.  Raises OSError."""
    fd = posix.open(PATH, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC, 0o664)
    posix.write(fd, record(runlevel, posix.uname().machine, int(time.time())))
    posix.fchown(fd, 0, UTMP_GROUP)
    posix.close(fd)


def record(runlevel: str, machine: str, now: int) -> bytes:
    """The RUN_LVL record: 384 bytes, or 400 where it holds 64-bit times."""
    wide = sys.maxsize > 1 << 32 and machine not in TIME32
    size = 8 if wide else 4
    pid = ord(runlevel) + (ord("N") << 8)  # current and previous runlevel
    text = b"".join((b"~".ljust(32, b"\0"), b"~~\0\0", b"runlevel".ljust(32, b"\0"), bytes(256)))
    head = RUN_LVL.to_bytes(4, sys.byteorder) + pid.to_bytes(4, sys.byteorder) + text + bytes(4)
    times = bytes(size) + now.to_bytes(size, sys.byteorder) + bytes(size)
    return (head + times).ljust(400 if wide else 384, b"\0")
