"""Frames over SEQPACKET sockets with descriptors beside them, for command and keeper (C modules only)."""

import posix
import sys
from _socket import CMSG_SPACE, MSG_CMSG_CLOEXEC, MSG_CTRUNC, SCM_RIGHTS, SOL_SOCKET, socket

from vzinit.protocol import MAX_FRAME

MAX_FDS = 253  # SCM_MAX_FD of the kernel: descriptors in one message

_INT = 4
SPACE = CMSG_SPACE(MAX_FDS * _INT)


class LostDescriptors(OSError):
    """Descriptors beside a frame could not be received."""


def send(sock: socket, frame: bytes, fds: "list[int] | tuple[int, ...]" = ()) -> None:
    """One frame with *fds*, which stay open here.  Raises OSError, BlockingIOError when it would block."""
    rights = b"".join(fd.to_bytes(_INT, sys.byteorder) for fd in fds)
    sock.sendmsg([frame], [(SOL_SOCKET, SCM_RIGHTS, rights)] if rights else [])


def receive(sock: socket) -> tuple[bytes, list[int]]:
    """The next frame and its descriptors (ours now, close-on-exec); (b"", []) at the end of the stream."""
    frame, control, flags, _ = sock.recvmsg(MAX_FRAME, SPACE, MSG_CMSG_CLOEXEC)
    fds = descriptors(control)
    if flags & MSG_CTRUNC:
        close_all(fds)
        raise LostDescriptors("descriptors were lost on the way: too many open files")
    return frame, fds


def descriptors(control: "list[tuple[int, int, bytes]]") -> list[int]:
    """Those in what recvmsg(2) brought beside the data."""
    return [
        int.from_bytes(data[at : at + _INT], sys.byteorder)
        for level, kind, data in control
        if level == SOL_SOCKET and kind == SCM_RIGHTS
        for at in range(0, len(data) - len(data) % _INT, _INT)
    ]


def close_all(fds: "list[int] | tuple[int, ...]") -> None:
    for fd in fds:
        posix.close(fd)
