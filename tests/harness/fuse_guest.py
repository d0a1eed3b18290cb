"""Run inside a container, by its own python, with one word: what a guest has that never answers.

directory: /dev, as an overlay of a FUSE file system whose server is this program: the host may not ask such a file
system itself, but through an overlay it does so in the guest's name.
descriptor: a file of such a server, whose closing it does not answer, handed over to hostd by PID 1's channel.

Prints "there" once it is, and leaves behind whoever has it open: to end is to close.
"""

import ctypes
import errno
import os
import socket
import struct
import sys
import time
from contextlib import suppress

FUSE, OVERLAY = "/run/fuse", "/run/below"
LOOKUP, GETATTR, OPEN, STATFS, FLUSH, INIT, OPENDIR = 1, 3, 14, 17, 25, 26, 27  # enum fuse_opcode of linux/fuse.h
ASK = struct.Struct("<IIQQIIII")  # struct fuse_in_header
ANSWER = struct.Struct("<IiQ")  # struct fuse_out_header
STATFS_OUT = struct.pack("<5Q10I", 0, 0, 0, 0, 0, 4096, 255, 4096, *[0] * 7)
INIT_OUT = struct.pack("<IIIIHHIIHH8I", 7, 31, 0, 0, 16, 12, 4096, 1, 0, 0, *[0] * 8)
OPEN_OUT = struct.pack("<QII", 1, 0, 0)
SILENT = (LOOKUP, OPENDIR, FLUSH)
PIDFD_OPEN, PIDFD_GETFD = 434, 438  # the same on all machines
LIBC = ctypes.CDLL(None, use_errno=True)


def mount(fstype: str, where: str, options: str) -> None:
    if LIBC.mount(fstype.encode(), where.encode(), fstype.encode(), 0, options.encode()):
        raise OSError(ctypes.get_errno(), f"mount {fstype}", where)


def serve(device: int, mode: int) -> None:
    attributes = struct.pack("<QII6Q3I7I", 3600, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
    answers = {INIT: INIT_OUT, GETATTR: attributes, STATFS: STATFS_OUT, OPEN: OPEN_OUT}
    while True:
        _, opcode, unique, *_ = ASK.unpack_from(os.read(device, 1 << 17))
        if opcode in SILENT:
            continue
        data = answers.get(opcode, b"")
        os.write(device, ANSWER.pack(ANSWER.size + len(data), 0 if data else -errno.ENOSYS, unique) + data)


def served(mode: int) -> None:
    """At FUSE, by a child of ours.  Who waits for it has its device open as well: not even SIGKILL ends that."""
    device = os.open("/dev/fuse", os.O_RDWR)
    mount("fuse", FUSE, f"fd={device},rootmode={mode:o},user_id=0,group_id=0,allow_other")
    if not os.fork():
        serve(device, mode)


def directory() -> None:
    for name in (FUSE, OVERLAY):
        os.mkdir(name)
    served(0o040755)
    mount("overlay", "/dev", f"lowerdir={FUSE}:{OVERLAY}")


def descriptor() -> None:
    os.close(os.open(FUSE, os.O_CREAT | os.O_WRONLY))
    served(0o100644)
    file = os.open(FUSE, os.O_RDWR)
    init = LIBC.syscall(PIDFD_OPEN, 1, 0)
    for number in map(int, os.listdir("/proc/1/fd")):
        with suppress(OSError):  # closed meanwhile, or another one of its
            if os.readlink(f"/proc/1/fd/{number}").startswith("socket:"):
                with socket.socket(fileno=LIBC.syscall(PIDFD_GETFD, init, number, 0)) as one:
                    if one.type == socket.SOCK_SEQPACKET:
                        socket.send_fds(one, [b"running\0"], [file])


def main() -> None:
    heard, say = os.pipe()
    if os.fork():
        os.close(say)
        sys.stdout.write(os.read(heard, 100).decode())
        return
    os.setsid()
    {"directory": directory, "descriptor": descriptor}[sys.argv[1]]()
    os.write(say, b"there\n")
    time.sleep(1000)


if __name__ == "__main__":
    main()
