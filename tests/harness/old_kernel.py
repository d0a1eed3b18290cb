"""Run a command on a kernel that lacks system calls: they answer ENOSYS to it and to all it starts.

    python3 old_kernel.py clone3,fsopen COMMAND ARG...

All of them are newer than the common numbering of system calls, so one table serves every architecture.
"""

import ctypes
import errno
import os
import struct
import sys

NUMBERS = {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "pidfd_open": 434,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "mount_setattr": 442,
}

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
LOAD, IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # classic BPF
ALLOW, ERRNO = 0x7FFF0000, 0x00050000


class Program(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def forget(names: list[str]) -> None:
    """From now on this process and its children have no system call of *names*."""
    code = [struct.pack("<HBBI", LOAD, 0, 0, 0)]
    for name in names:
        code += [
            struct.pack("<HBBI", IF_EQUAL, 0, 1, NUMBERS[name]),
            struct.pack("<HBBI", RETURN, 0, 0, ERRNO | errno.ENOSYS),
        ]
    code.append(struct.pack("<HBBI", RETURN, 0, 0, ALLOW))
    program = Program(len(code), b"".join(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


if __name__ == "__main__":
    forget(sys.argv[1].split(","))
    os.execvp(sys.argv[2], sys.argv[2:])
