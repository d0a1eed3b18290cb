"""A cgroup for each service of a unit: who belongs to it, and an end that nobody escapes.

The container has its own tree at /sys/fs/cgroup.  No controller is on below it, so a group costs a directory; where the
tree is not there (an image without units needs none), a service is its main process and that one's process group.
"""

import posix

from vzinit import fds

TREE = "/sys/fs/cgroup"
SLICE = f"{TREE}/system.slice"


def available() -> bool:
    """The container's own tree is mounted, and ours to change."""
    return posix.access(f"{TREE}/cgroup.procs", posix.W_OK)


def make(path: str) -> None:
    """Make the group, and put the caller into it.  Raises OSError."""
    fds.make_parents(path + "/")
    fd = posix.open(f"{path}/cgroup.procs", posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(fd, b"0")
    finally:
        posix.close(fd)


def pids(path: str) -> list[int]:
    """The processes in the group and below it; none when it is not there."""
    try:
        names = posix.listdir(path)
    except OSError:
        return []
    found = [int(pid) for pid in fds.read_text(f"{path}/cgroup.procs").split()]
    for name in names:
        if fds.is_dir(f"{path}/{name}"):
            found += pids(f"{path}/{name}")
    return found


def populated(path: str) -> bool:
    """A process is in the group or below it."""
    return "populated 1" in fds.read_text(f"{path}/cgroup.events")


def signal(path: str, number: int) -> None:
    """Signal everybody in the group; SIGKILL also reaches who is being forked."""
    if number == 9:
        try:
            fd = posix.open(f"{path}/cgroup.kill", posix.O_WRONLY | posix.O_CLOEXEC)
            posix.write(fd, b"1")
            posix.close(fd)
            return
        except OSError:
            pass  # the group is gone, or the kernel is older than 5.14
    for pid in pids(path):
        try:
            posix.kill(pid, number)
        except OSError:
            pass


def remove(path: str) -> None:
    """Remove the group and what the service made below it; what is still in use stays."""
    try:
        for name in posix.listdir(path):
            if fds.is_dir(f"{path}/{name}"):
                remove(f"{path}/{name}")
        posix.rmdir(path)
    except OSError:
        pass


def unit_of(pid: int) -> str:
    """The group of *pid* below SLICE, "" for one outside."""
    line = fds.read_text(f"/proc/{pid}/cgroup").rpartition("::")[2].strip()
    parts = line.split("/")
    return parts[2] if len(parts) > 2 and parts[1] == "system.slice" else ""
