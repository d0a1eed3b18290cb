"""Process: a pidfd and what tells this process from a later one with the same number."""

import os
import resource
import select
import signal
from functools import cache

from hostd.kernel.fd import Fd

# In front of a command line: the program is killed when the thread that started it ends, as by kill -9 of us
# (PR_SET_PDEATHSIG of prctl(2)).  What it works on can then be taken away without it going on underneath.
WITH_US = ("setpriv", "--pdeathsig", "KILL")

START_TIME_FIELD = 22  # of /proc/PID/stat, counted from 1: clock ticks after boot


class Process:
    """A process that cannot be mistaken for another: `pidfd`, plus `identity` as text for the record.

    `identity` is `pidfs:INODE` (Linux >= 6.9, where every process has a unique inode) or `start:TICKS`; both
    are unique within one boot only.
    """

    __slots__ = ("identity", "pid", "pidfd")

    def __init__(self, pid: int, pidfd: Fd) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.identity = _identity(pid, pidfd)

    @classmethod
    def open(cls, pid: int) -> "Process":
        """The running process *pid*; ProcessLookupError when there is none."""
        pidfd = Fd(os.pidfd_open(pid), f"process {pid}")
        process = cls(pid, pidfd)
        if not process.alive():
            raise ProcessLookupError(3, "No such process", str(pid))
        return process

    @classmethod
    def reopen(cls, pid: int, identity: str) -> "Process | None":
        """The process that had *pid* and *identity*, or None when it has ended."""
        try:
            process = cls.open(pid)
        except ProcessLookupError:
            return None
        if process.identity == identity:
            return process
        process.close()
        return None

    def fileno(self) -> int:
        """The pidfd: readable when the process has ended."""
        return self.pidfd.fileno()

    def alive(self) -> bool:
        """False once it has ended, reaped or not."""
        return not ended(self.pidfd)

    def signal(self, number: int) -> None:
        """pidfd_send_signal(2); ProcessLookupError when it has ended and been reaped."""
        signal.pidfd_send_signal(self.pidfd.fileno(), number)

    def close(self) -> None:
        self.pidfd.close()

    def __repr__(self) -> str:
        return f"Process({self.pid}, {self.identity})"


def ended(pidfd: Fd) -> bool:
    """True once its process has ended, reaped or not."""
    poll = select.poll()
    poll.register(pidfd.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def pid_of(pidfd: Fd) -> int:
    """The pid that *pidfd* stands for; ProcessLookupError when it has been reaped."""
    with open(f"/proc/self/fdinfo/{pidfd.fileno()}", encoding="ascii") as file:
        for line in file:
            if line.startswith("Pid:"):
                pid = int(line[4:])
                if pid > 0:
                    return pid
    raise ProcessLookupError(3, "No such process", pidfd.what)


def prlimit(pidfd: Fd, which: int, most: tuple[int, int]) -> None:
    """prlimit(2), which takes only a number: ProcessLookupError when that may have been another's."""
    if not ended(pidfd):
        resource.prlimit(pid_of(pidfd), which, most)
    if ended(pidfd):
        raise ProcessLookupError(3, "No such process", pidfd.what)


@cache
def have_pidfs() -> bool:
    """True when pidfds are a file system of their own; before, they shared the one anonymous inode."""
    with Fd(os.pidfd_open(os.getpid())) as pidfd, Fd(os.eventfd(0)) as anonymous:
        return os.fstat(pidfd.fileno()).st_dev != os.fstat(anonymous.fileno()).st_dev


def _identity(pid: int, pidfd: Fd) -> str:
    if have_pidfs():
        return f"pidfs:{os.fstat(pidfd.fileno()).st_ino}"
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return f"start:{_start_time(file.read())}"
    except FileNotFoundError:
        raise ProcessLookupError(3, "No such process", str(pid)) from None


def _start_time(stat: str) -> str:
    """The start time in a /proc/PID/stat; the second field, a name in brackets, may hold anything."""
    after_name = stat[stat.rindex(")") + 2 :].split()
    return after_name[START_TIME_FIELD - 3]
