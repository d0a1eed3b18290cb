"""flock(2) with an end to the waiting, and who it is that holds one."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hostd.kernel.fd import Fd

PAUSE = 0.002  # seconds between two tries: the kernel has no flock(2) with a limit


@contextmanager
def held(fd: Fd, patience: float) -> Iterator[None]:
    """Hold the lock of *fd* for us alone.  TimeoutError when it is not to be had in *patience* seconds."""
    end = time.monotonic() + patience
    while not _taken(fd):
        if time.monotonic() > end:
            raise TimeoutError(f"{fd.what} is locked")
        time.sleep(PAUSE)
    try:
        yield
    finally:
        # Said, and not left to close(2): a child that is being spawned has a copy of the descriptor until it executes.
        fcntl.flock(fd.fileno(), fcntl.LOCK_UN)


def _taken(fd: Fd) -> bool:
    try:
        fcntl.flock(fd.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holder(fd: Fd) -> str:
    """Who has locked the file *fd*, as `process PID (COMMAND LINE)`: one that has, or has inherited, the descriptor."""
    path = os.readlink(fd.path)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            numbers = os.listdir(f"/proc/{pid}/fd")
            if any(_locks(pid, number) for number in numbers if os.readlink(f"/proc/{pid}/fd/{number}") == path):
                return f"process {pid} ({_read(f'/proc/{pid}/cmdline')})"
        except OSError:  # it has ended, or closed that one
            continue
    return "an unknown process"


def _locks(pid: str, number: str) -> bool:
    """The kernel names the locks of a descriptor that hold, and not those that are waited for."""
    return "FLOCK" in _read(f"/proc/{pid}/fdinfo/{number}")


def _read(path: str) -> str:
    with open(path, "rb") as file:
        return file.read(4096).replace(b"\0", b" ").decode("utf-8", "replace").strip()
