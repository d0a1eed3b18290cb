"""Run inside a container, by its own python: a directory that stops answering.

It is /dev, as an overlay of a FUSE file system whose server is this program: the host may not ask such a file system
itself, but through an overlay it does so in the guest's name.  Prints a line once it is there; no question for
a directory's contents is answered.
"""

import ctypes
import errno
import os
import struct

FUSE, OVERLAY = "/run/fuse", "/run/below"
LOOKUP, GETATTR, STATFS, INIT, OPENDIR = 1, 3, 17, 26, 27  # enum fuse_opcode of linux/fuse.h
ASK = struct.Struct("<IIQQIIII")  # struct fuse_in_header
ANSWER = struct.Struct("<IiQ")  # struct fuse_out_header
ATTR_OUT = struct.pack("<QII6Q3I7I", 3600, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o040755, 2, 0, 0, 0, 4096, 0)
STATFS_OUT = struct.pack("<5Q10I", 0, 0, 0, 0, 0, 4096, 255, 4096, *[0] * 7)
INIT_OUT = struct.pack("<IIIIHHIIHH8I", 7, 31, 0, 0, 16, 12, 4096, 1, 0, 0, *[0] * 8)
ANSWERS = {INIT: INIT_OUT, GETATTR: ATTR_OUT, STATFS: STATFS_OUT}
SILENT = (LOOKUP, OPENDIR)


def mount(fstype: str, where: str, options: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(fstype.encode(), where.encode(), fstype.encode(), 0, options.encode()):
        raise OSError(ctypes.get_errno(), f"mount {fstype}", where)


def serve(device: int) -> None:
    while True:
        _, opcode, unique, *_ = ASK.unpack_from(os.read(device, 1 << 17))
        if opcode in SILENT:
            continue
        data = ANSWERS.get(opcode, b"")
        os.write(device, ANSWER.pack(ANSWER.size + len(data), 0 if data else -errno.ENOSYS, unique) + data)


def main() -> None:
    device = os.open("/dev/fuse", os.O_RDWR)
    for directory in (FUSE, OVERLAY):
        os.mkdir(directory)
    mount("fuse", FUSE, f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other")
    if os.fork():
        mount("overlay", "/dev", f"lowerdir={FUSE}:{OVERLAY}")
        print("there", flush=True)
    else:
        os.setsid()
        serve(device)


if __name__ == "__main__":
    main()
