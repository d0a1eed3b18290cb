"""Acting on the processes of one cgroup directory and on the directories below it.  Plain paths; blocking."""

import errno
import math
import os
import select
import signal
import time
from collections.abc import Iterator

from hostd.cgroup import files

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_POLL = 0.002  # seconds; v1 has no events, so here and there looking again is all one can do


def procs(path: str, until: float = math.inf) -> list[int]:
    """The pids in *path* and below; [] when it is gone.  Not all of them when it takes longer than *until*."""
    found = _pids(files.read_optional(f"{path}/cgroup.procs"))
    for directory, name in walk(path, until):
        # Not by its own path, which may be too long; and a cgroup has no links to be led astray by.
        found += _pids(files.read_optional(f"/proc/self/fd/{directory}/{name}/cgroup.procs"))
    return found


def _pids(text: str | None) -> list[int]:
    return [int(pid) for pid in (text or "").split() if pid != "0"]  # 0: of another pid namespace


def path_in(directory: int, name: str, file: str) -> str:
    """By which *file* of a cgroup that `walk` has found can be opened later; "" where that would be too long."""
    try:
        path = f"{os.readlink(f'/proc/self/fd/{directory}')}/{name}/{file}"
    except OSError:  # too long by itself
        return ""
    return path if len(os.fsencode(path)) <= files.LONGEST else ""


def walk(path: str, until: float = math.inf) -> Iterator[tuple[int, str]]:
    """(directory, name) of every cgroup below *path*, deepest first; none when it is gone.  Ends early at *until*, a
    time of time.monotonic().

    *directory* is a descriptor, open until the next pair is asked for.  One at a time and no paths: the guest
    may nest deeper than a path may be long, and than we may have files open.
    """
    here = -1
    try:
        here = os.open(path, _FOLDER)
        trail = [("", _children(here))]
        while trail and time.monotonic() <= until:
            name, children = trail[-1]
            if children:
                child = children.pop()
                here = _go(here, child)
                trail.append((child, _children(here)))
                continue
            trail.pop()
            if trail:
                here = _go(here, "..")
                yield here, name
    except FileNotFoundError:
        return  # removed under our feet: whoever needs all of it looks again
    finally:
        if here >= 0:
            os.close(here)


def _children(directory: int) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


def _go(directory: int, name: str) -> int:
    there = os.open(name, _FOLDER, dir_fd=directory)
    os.close(directory)
    return there


def remove(path: str, timeout: float) -> bool:
    """rmdir *path* and everything below, deepest first; True when gone.  Waits for dying processes, *timeout*
    s.
    """
    deadline = time.monotonic() + timeout
    while True:
        if _rmdir(path):
            return True
        for directory, name in walk(path):
            _rmdir(name, directory)
        if _rmdir(path):
            return True
        left = deadline - time.monotonic()
        if left <= 0 or not _await_empty(path, left):
            return False


def _rmdir(path: str, directory: int | None = None) -> bool:
    try:
        os.rmdir(path, dir_fd=directory)
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
