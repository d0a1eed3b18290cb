"""Why a running container cannot be checkpointed, found before anything is frozen (about 3 ms).

CRIU refuses some of these by itself, but late; others it dumps, kills the container, and cannot restore.
"""

import errno
import os
from collections.abc import Collection, Iterable
from typing import NamedTuple

# Namespaces of which a container may have one only: CRIU 4.2 cannot dump a nested one.
SINGLE = ("pid", "user", "uts", "ipc", "cgroup", "time")
# File systems that CRIU saves and makes again; everything else must be the root's own or external.
SAVED = frozenset({
    "proc", "sysfs", "tmpfs", "devpts", "mqueue", "devtmpfs", "securityfs", "binfmt_misc",
    "cgroup", "cgroup2",
})  # fmt: skip
# How the /proc files of a process that has ended meanwhile answer; EINVAL: it has no mounts any more.
ENDED = (errno.ENOENT, errno.ESRCH, errno.EINVAL)
# What an open descriptor is called by readlink -> what the user knows it as.
UNSAVED_FDS = {
    "anon_inode:[io_uring]": "an io_uring queue",
    "anon_inode:[perf_event]": "a performance counter",
    "anon_inode:[userfaultfd]": "a userfaultfd",
    "anon_inode:seccomp notify": "a seccomp listener",
    "anon_inode:bpf-map": "a BPF map",
    "anon_inode:bpf-prog": "a BPF program",
    "/dev/fuse": "a FUSE server",
}
# systemd's, between its fork and the program of a service; CRIU 4.2 cannot give it its executable again.
EXECUTOR = "/systemd-executor"


class _Task(NamedTuple):
    pid: int
    parent: int
    name: str
    depth: int  # pid namespaces above it that can see it, itself included


def reasons(
    pid: int, external: Collection[str], *, tasks: Iterable[int] = (), proc: str = "/proc"
) -> list[str]:
    """What stands against a checkpoint, one line each; empty when nothing does.

        *pid* is PID 1, *external* the mount points that the host brings, *tasks* all processes of the
    container as its cgroup tells them (without: found by their pid namespace).
    """
    own = {kind: _namespace(proc, pid, kind) for kind in SINGLE}
    if own["user"] == _namespace(proc, "self", "user"):
        return ["checkpointing of privileged containers is not supported yet"]
    pids = sorted(set(tasks) or _in_namespace(proc, own["pid"]))
    found: list[str] = []
    seen: set[str] = set()
    first = _task(proc, pid)
    for task in filter(None, (_task(proc, number) for number in pids)):
        try:
            found += _task_reasons(proc, task, own, first, pids)
            mounts = _namespace(proc, task.pid, "mnt")
            if mounts not in seen:
                seen.add(mounts)
                found += _mount_reasons(proc, task, external)
        except OSError as error:
            if error.errno not in ENDED:
                raise
    return found or _queue_reasons(proc, pid)  # which looks into a file system of the container's


def _task_reasons(
    proc: str, task: _Task, own: dict[str, str], first: _Task | None, pids: Collection[int]
) -> list[str]:
    who = f"process {task.pid} ({task.name})"
    found = []
    if first and task.depth > first.depth:
        found.append(f"{who} is in a nested pid namespace")
    for kind in SINGLE:
        nested = _namespace(proc, task.pid, kind) not in ("", own[kind])
        if nested and kind != "pid":
            found.append(f"{who} is in a nested {kind} namespace")
    if first and task.pid != first.pid and task.parent not in pids:
        found.append(f"{who} was brought in from outside (a session that is still open)")
    if _executable(proc, task.pid).endswith(EXECUTOR):
        found.append(f"{who} is a service that systemd is about to start: try again in some seconds")
    for link in _descriptors(proc, task.pid):
        if link in UNSAVED_FDS:
            found.append(f"{who} has {UNSAVED_FDS[link]} open")
    return found


def _mount_reasons(proc: str, task: _Task, external: Collection[str]) -> list[str]:
    found, root, count = [], "", dict.fromkeys(external, 0)
    table = mounts(f"{proc}/{task.pid}/mountinfo")
    again = {device for point, device, _ in table if point in count}  # a copy of what the host brings is made again
    for point, device, fstype in table:
        if point == "/" and not root:
            root = device
            continue
        if point in count:
            count[point] += 1
            if count[point] > 1:
                found.append(f"something is mounted over {point}")
        elif device != root and device not in again and fstype not in SAVED:
            found.append(f"{fstype} is mounted on {point}, which cannot be saved")
    return found


def _queue_reasons(proc: str, pid: int) -> list[str]:
    try:
        return ["POSIX message queues exist"] if os.listdir(f"{proc}/{pid}/root/dev/mqueue") else []
    except OSError:
        return []


def mounts(mountinfo: str) -> list[tuple[str, str, str]]:
    """(mount point, device, file system) of every line of a mountinfo file."""
    found = []
    with open(mountinfo, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            fields = left.split(" ")
            found.append((unescaped(fields[4]), fields[2], right.split(" ")[0]))
    return found


def unescaped(path: str) -> str:
    """A path of mountinfo as it really is: `\\040` is a blank."""
    for code in ("\\040", "\\011", "\\012", "\\134"):
        path = path.replace(code, chr(int(code[1:], 8)))
    return path


def _in_namespace(proc: str, namespace: str) -> set[int]:
    return {int(n) for n in os.listdir(proc) if n.isdigit() and _namespace(proc, n, "pid") == namespace}


def _namespace(proc: str, pid: int | str, kind: str) -> str:
    try:
        return os.readlink(f"{proc}/{pid}/ns/{kind}")
    except OSError:
        return ""


def _task(proc: str, pid: int) -> _Task | None:
    try:
        with open(f"{proc}/{pid}/status", encoding="utf-8", errors="replace") as file:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    except OSError:
        return None
    if fields.get("State", "").startswith(("Z", "X")):
        return None
    return _Task(pid, int(fields["PPid"]), fields["Name"], len(fields["NSpid"].split()))


def _executable(proc: str, pid: int) -> str:
    try:
        return os.readlink(f"{proc}/{pid}/exe")
    except OSError:  # a thread of the kernel, or one that has ended
        return ""


def _descriptors(proc: str, pid: int) -> list[str]:
    found = []
    for number in os.listdir(f"{proc}/{pid}/fd"):
        try:
            found.append(os.readlink(f"{proc}/{pid}/fd/{number}"))
        except OSError:
            continue  # closed meanwhile
    return found
