"""What the kernel knows about processes, mounts, loops, cgroups: from /proc and /sys, no product code."""

import ctypes
import fcntl
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from tests.harness.patience import patient

LOOP_GET_STATUS64 = 0x4C05
LOOP_NAME = slice(56, 120)  # lo_file_name of struct loop_info64
LONGEST_LOOP_NAME = 63
# For a shell in a copy of the host's mount namespace: what tests beside this one have mounted would stay mounted, and
# their disks attached, for as long as the copy lives.
LET_GO = """for place in $(awk '$5 ~ "/(vzt|pytest-of)-" { print $5 }' /proc/self/mountinfo); do
    umount -l "$place" 2>/dev/null || :
done"""


def until(what: str, condition: Callable[[], object], timeout: float = 120.0, pause: float = 0.02) -> None:
    """Ask a black box every *pause* seconds for *condition*; fails with *what* when it does not come true."""
    end = time.monotonic() + patient(timeout)
    while not condition():
        assert time.monotonic() < end, f"not within {timeout:g} s: {what}"
        time.sleep(pause)


def kill_and_wait(pid: int, sig: int = signal.SIGKILL, timeout: float = 120.0) -> None:
    """Signal exactly this process and return when it is gone (no reuse of the number can confuse us)."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(fd, sig)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert poll.poll(patient(timeout) * 1000), f"pid {pid} survived signal {sig}"
    finally:
        os.close(fd)


def is_open(fd: int) -> bool:
    """Whether *fd* is a descriptor of ours."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def read(path: str, default: str = "") -> str:
    """The text of a /proc or /sys file; *default* when it is gone or closed to us."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return default


def pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def processes_of(prefix: str) -> list[int]:
    """Every process but us that has VZ_PREFIX=*prefix* or names the prefix in its command line."""
    wanted = f"VZ_PREFIX={prefix}"
    found = []
    for pid in pids():
        if pid == os.getpid():
            continue
        named = any(word == prefix or word.startswith(prefix + "/") for word in cmdline(pid))
        if named or wanted in read(f"/proc/{pid}/environ").split("\0"):
            found.append(pid)
    return [pid for pid in found if alive(pid)]


def cmdline(pid: int) -> list[str]:
    return read(f"/proc/{pid}/cmdline").split("\0")


def descriptors(pid: int) -> list[str]:
    """What a process has open, but for what it closes meanwhile; nothing when it is gone."""
    found = []
    with suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return found


def mounts_below(path: str) -> list[str]:
    """Mount points at or below *path* in our mount namespace, deepest last."""
    points = [line.split()[4].replace("\\040", " ") for line in read("/proc/self/mountinfo").splitlines()]
    return [point for point in points if point == path or point.startswith(path + "/")]


def loops_below(path: str) -> list[str]:
    """loopN whose file is (or was) below *path*, by the name that it was given or by what the kernel shows."""
    found = []
    for name in os.listdir("/sys/block"):
        backing = read(f"/sys/block/{name}/loop/backing_file").strip()
        if backing and any(one.startswith(f"{path}/"[:LONGEST_LOOP_NAME]) for one in (backing, loop_name(name))):
            found.append(name)
    return found


def loop_name(name: str) -> str:
    """The name that whoever attached loopN gave its file: the beginning of the path, where hostd did."""
    try:
        with open(f"/dev/{name}", "rb") as device:
            status = fcntl.ioctl(device, LOOP_GET_STATUS64, bytes(232))
    except OSError:
        return ""  # detached meanwhile
    return os.fsdecode(status[LOOP_NAME].partition(b"\0")[0])


def cgroups_named(root: str) -> list[str]:
    """Every cgroup below a top-level cgroup *root* of any hierarchy, deepest first, the root itself last."""
    tops = ["/sys/fs/cgroup", *(entry.path for entry in os.scandir("/sys/fs/cgroup") if entry.is_dir())]
    found: list[str] = []
    for top in tops:
        start = f"{top}/{root}"
        if os.path.isdir(start):
            found += [path for path, _, _ in os.walk(start, topdown=False)]
    return found


def cgroup_pids(cgroup: str) -> list[int]:
    return [int(pid) for pid in read(f"{cgroup}/cgroup.procs").split()]


def links_tagged(tag: str) -> list[str]:
    """Network devices of our own network namespace that carry the tag of an installation, or its beginning."""
    names = os.listdir("/sys/class/net")
    return [name for name in names if "-" in name and tag.startswith(name.rpartition("-")[2])]


class Sysinfo(NamedTuple):
    """Bytes."""

    ram: int
    swap: int


def sysinfo() -> Sysinfo:
    """What sysinfo(2) tells us."""
    words = (ctypes.c_ulong * 16)()
    assert ctypes.CDLL(None).sysinfo(ctypes.byref(words)) == 0
    return Sysinfo(words[4], words[8])
