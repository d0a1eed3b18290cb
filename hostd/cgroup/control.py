"""Acting on the processes of one cgroup directory and on the directories below it.  Plain paths; blocking."""

import errno
import os
import select
import signal
import time

from hostd.cgroup import files

_POLL = 0.002  # seconds; v1 has no events, so here and there looking again is all one can do


def procs(path: str) -> list[int]:
    """The pids in *path* and below; [] when it is gone."""
    found: list[int] = []
    for directory in below(path):
        text = files.read_optional(f"{directory}/cgroup.procs") or ""
        found.extend(int(pid) for pid in text.split() if pid != "0")  # 0: of another pid namespace
    return found


def below(path: str) -> list[str]:
    """*path* and all cgroups below it, parents first."""
    found = [path]
    for directory in found:
        try:
            with os.scandir(directory) as entries:
                found.extend(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            continue
    return found


def remove(path: str, timeout: float) -> bool:
    """rmdir *path* and everything below, deepest first; True when gone.  Waits for dying processes, *timeout*
    s.
    """
    deadline = time.monotonic() + timeout
    while True:
        if _rmdir(path):
            return True
        for directory in reversed(below(path)[1:]):
            _rmdir(directory)
        if _rmdir(path):
            return True
        left = deadline - time.monotonic()
        if left <= 0 or not _await_empty(path, left):
            return False


def _rmdir(path: str) -> bool:
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno == errno.EBUSY or error.errno == errno.ENOTEMPTY:
            return False
        raise
    return True


def _await_empty(path: str, timeout: float) -> bool:
    """Until no process is in *path* or below.  v1 has no event for that: the processes' own ends are waited
    for.
    """
    if os.path.exists(f"{path}/cgroup.events"):
        return files.await_event(f"{path}/cgroup.events", lambda events: not events.get("populated"), timeout)
    deadline = time.monotonic() + timeout
    pids = procs(path)
    if not pids:
        time.sleep(_POLL)  # the last one is between leaving the list and leaving the cgroup
    return all(_await_end(pid, deadline - time.monotonic()) for pid in pids)


def _await_end(pid: int, timeout: float) -> bool:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return bool(poll.poll(max(timeout, 0) * 1000))
    finally:
        os.close(pidfd)


# unified tree: works without any controller, so on hybrid hosts too


def freeze(path: str, timeout: float) -> bool:
    files.write(f"{path}/cgroup.freeze", "1")
    return files.await_event(f"{path}/cgroup.events", lambda events: events.get("frozen") == 1, timeout)


def frozen(path: str) -> bool:
    return files.flat(files.read_optional(f"{path}/cgroup.events") or "").get("frozen") == 1


def kill(path: str) -> bool:
    """False when this kernel (before 5.14) has no cgroup.kill; a cgroup that is gone counts as killed."""
    return write_if_there(f"{path}/cgroup.kill", "1") or not os.path.isdir(path)


# v1


def freeze_v1(path: str, timeout: float) -> bool:
    """Writing and reading the state again is what drives a v1 freezer on."""
    deadline = time.monotonic() + timeout
    while True:
        files.write(f"{path}/freezer.state", "FROZEN")
        if frozen_v1(path):
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL)


def frozen_v1(path: str) -> bool:
    return files.read_optional(f"{path}/freezer.state") == "FROZEN"


def signal_all(path: str, number: int = signal.SIGKILL) -> None:
    for pid in procs(path):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def write_if_there(path: str, value: str) -> bool:
    """False when there is no such file (the cgroup is gone, or the kernel lacks it)."""
    try:
        files.write(path, value)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno == errno.ENODEV:
            return False
        raise
    return True
