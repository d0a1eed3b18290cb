"""Reading, writing and awaiting the small files of a cgroup."""

import os
import select
import time
from collections.abc import Callable

LONGEST = 4095  # bytes of a path; the guest may nest cgroups deeper


def read(path: str) -> str:
    """The text of *path* without the last newline.  Raises OSError with the path."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunks = [os.read(fd, 65536)]
        while chunks[-1]:
            chunks.append(os.read(fd, 65536))
    finally:
        os.close(fd)
    return b"".join(chunks).decode().rstrip("\n")


def read_optional(path: str | None) -> str | None:
    """The same; None when this kernel has no such file, or the cgroup is gone."""
    if path is None:
        return None
    try:
        return read(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno in ABSENT:
            return None
        raise


# ENODEV: the cgroup was removed while its file was open.  EOPNOTSUPP: not for this type of cgroup (threaded).
ABSENT = (19, 95)


def write(path: str, value: str) -> None:
    """One write(2), as the kernel expects it: of nothing as well.  Raises OSError with the path."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode() or b"\n")
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(fd)


def flat(text: str) -> dict[str, int]:
    """A flat keyed file (`key value` lines): cgroup.events, memory.stat, cpu.stat."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].lstrip("-").isdigit()}


def await_event(path: str, wanted: Callable[[dict[str, int]], bool], timeout: float) -> bool:
    """Wait until *wanted* holds of the flat keyed file *path*, or *timeout* seconds; a cgroup that is gone
    satisfies.

    The kernel reports a change of cgroup.events as POLLPRI to whoever has read it before.
    """
    deadline = time.monotonic() + timeout
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        poll = select.poll()
        poll.register(fd, select.POLLPRI)
        while True:
            try:
                if wanted(flat(os.pread(fd, 4096, 0).decode())):
                    return True
            except OSError as error:
                if error.errno in ABSENT:
                    return True
                raise
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            poll.poll(left * 1000)
    finally:
        os.close(fd)
