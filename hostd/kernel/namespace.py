"""Namespaces as descriptors.  No thread of the daemon stands in one, but for such as end with that: helpers in C do."""

import os
import socket

from hostd.kernel.facade import array, check, lib, path_bytes, unpack
from hostd.kernel.fd import Fd
from hostd.kernel.process import ended, pid_of
from hostd.kernel.steps import STEPS

IDS = 65536  # of users, and as many of groups: what a distribution knows of

CLONE_NEWTIME = 0x00000080
CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000


def unshare(flags: int, what: str) -> None:
    """unshare(2) of the calling thread."""
    check(lib.vz_unshare(flags), "unshare", what)


def userns(base: int, count: int = IDS) -> Fd:
    """A user namespace whose ids 0..*count*-1 are *base*.. of the host: for idmapped mounts."""
    what = f"user namespace {base}+{count}"
    step = array("int", 1)
    result = lib.vz_new_userns(base, count, step)
    return Fd(check(result, STEPS[unpack(step, 1)[0]].syscall, what), what)


def namespace(process: Fd | int, kind: str) -> Fd:
    """The *kind* ("net", "mnt", "user", ...) namespace of a pidfd or pid; ProcessLookupError when it is
    gone."""
    pid = process if isinstance(process, int) else pid_of(process)
    try:
        found = Fd.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY)
    except FileNotFoundError:
        raise ProcessLookupError(3, "No such process", str(pid)) from None
    if isinstance(process, Fd) and ended(process):  # the number may have been another's meanwhile
        found.close()
        raise ProcessLookupError(3, "No such process", process.what)
    return found


def root_of(pidfd: Fd) -> Fd:
    """The root directory of a process, for `openat2`: its tree may be hostile.  ProcessLookupError when it is gone."""
    root = Fd.open(f"/proc/{pid_of(pidfd)}/root", os.O_PATH | os.O_DIRECTORY)
    if ended(pidfd):
        root.close()
        raise ProcessLookupError(3, "No such process", pidfd.what)
    return root


def nodename(process: Fd) -> str:
    """What uname(2) calls the machine of *process*, a pidfd.  The calling thread stays there: one that ends with this.

    OSError; ProcessLookupError when it is gone.
    """
    with namespace(process, "uts") as uts:
        check(lib.vz_setns(uts.fileno(), CLONE_NEWUTS), "setns", uts.what)
    return os.uname().nodename


def write_in_ipcns(ipcns: Fd, root: int, path: str, text: str) -> None:
    """Write *text* to *path*, a file below /proc/sys, as it is for the processes of *ipcns*, whose root is *root*."""
    data = text.encode()
    check(lib.vz_write_in_ipcns(ipcns.fileno(), root, path_bytes(path), data, len(data)), "write", path)


def socket_in_netns(netns: Fd, family: int, type: int, proto: int = 0) -> socket.socket:
    """A socket that lives in *netns*; the caller stays where it is."""
    number = check(lib.vz_socket_in_netns(netns.fileno(), family, type, proto), "socket", netns.what)
    return socket.socket(family, type, proto, fileno=number)
