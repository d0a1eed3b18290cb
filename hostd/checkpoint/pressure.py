"""Pressure (PSI) triggers after a restore: CRIU restores the descriptor but not the trigger behind it.

Without one, poll() reports an error at once and for ever: a guest's systemd, journald and logind would spin.
"""

import os
from collections.abc import Callable, Iterable

# systemd's default: 200 ms of stall within 2 s (MEMORY_PRESSURE_DEFAULT_THRESHOLD_USEC)
TRIGGER = b"some 200000 2000000\0"


def rearm(pids: Iterable[int], getfd: Callable[[int, int], int]) -> list[str]:
    """Write a trigger into every pressure file that the processes *pids* hold open.  Answers what failed."""
    failed = []
    for pid in pids:
        numbers = list(_pressure_fds(pid))
        if not numbers:
            continue
        pidfd = os.pidfd_open(pid)
        try:
            failed += [text for number in numbers if (text := _arm(pidfd, pid, number, getfd))]
        finally:
            os.close(pidfd)
    return failed


def _arm(pidfd: int, pid: int, number: int, getfd: Callable[[int, int], int]) -> str:
    try:
        ours = getfd(pidfd, number)
    except OSError as error:
        return f"process {pid}: pressure trigger: {error.strerror}"
    try:
        os.write(ours, TRIGGER)
        return ""
    except OSError as error:
        return f"process {pid}: pressure trigger: {error.strerror}"
    finally:
        os.close(ours)


def _pressure_fds(pid: int) -> Iterable[int]:
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return
    for number in numbers:
        try:
            link = os.readlink(f"/proc/{pid}/fd/{number}")
        except OSError:
            continue
        if (link.startswith("/sys/fs/cgroup/") and link.endswith(".pressure")) or link.startswith("/proc/pressure/"):
            yield int(number)
