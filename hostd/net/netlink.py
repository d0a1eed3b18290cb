"""One rtnetlink conversation: many requests in one datagram, answers collected, errors named.

rtnetlink executes requests inside sendmsg(2), in order, each even when the one before it failed; the
acknowledgements are queued when sendmsg returns.  So a whole batch costs two or three system calls.  The
price is that the caller waits for the kernel's rtnl lock, which a dying network device may hold for tens of
milliseconds: call from a worker thread.  A socket costs 20 us, so nothing is kept open between operations and
no state can be in the wrong namespace.
"""

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple

# linux/netlink.h
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_DUMP_INTR = 0x10
NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200
SOL_NETLINK = 270
NETLINK_CAP_ACK = 10
NETLINK_EXT_ACK = 11
NETLINK_GET_STRICT_CHK = 12
NLMSGERR_ATTR_MSG = 1
NLA_TYPE_MASK = 0x3FFF

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_BATCH = 64  # requests per datagram: below the default send buffer by far
_TIMEOUT = 30.0  # seconds; the kernel answers at once, so this only bounds a kernel bug


class Request(NamedTuple):
    """One message to the kernel.  *what* completes "cannot ..."; *ignore* are errno values that mean
    "fine".
    """

    what: str
    message: bytes
    ignore: tuple[int, ...] = ()


class NetlinkError(OSError):
    """The kernel refused *request*; `errno` is its reason."""

    def __init__(self, request: Request, error: int, text: str) -> None:
        reason = os.strerror(error) + (f" ({text})" if text else "")
        super().__init__(error, f"cannot {request.what}: {reason}")
        self.request = request

    def __str__(self) -> str:
        return str(self.strerror)


@dataclass(slots=True)
class _Pending:
    request: Request
    payloads: list[bytes]
    interrupted: bool = False


class Rtnl:
    """A NETLINK_ROUTE socket of this thread's network namespace, or *sock*, opened in another one."""

    def __init__(self, sock: socket.socket | None = None) -> None:
        self._sock = sock or socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        for option in (NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK):
            self._sock.setsockopt(SOL_NETLINK, option, 1)
        self._sock.settimeout(_TIMEOUT)
        self._sequence = 0

    def __enter__(self) -> "Rtnl":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sock.close()

    def run(self, requests: Sequence[Request]) -> list[list[bytes]]:
        """Execute *requests* in order; for each the payloads (after nlmsghdr) that it was answered with.

        Raises NetlinkError for the first request that failed; the ones after it have been executed all the
        same.
        """
        answers: list[list[bytes]] = []
        failures: list[NetlinkError] = []
        for start in range(0, len(requests), _BATCH):
            for pending, error in self._exchange(requests[start : start + _BATCH]):
                answers.append(pending.payloads)
                if error:
                    failures.append(error)
        if failures:
            raise failures[0]
        return answers

    def dump(self, request: Request) -> list[bytes]:
        """All objects that *request* (made with NLM_F_DUMP) asks for, as one consistent snapshot."""
        while True:
            ((pending, error),) = self._exchange([request])
            if error:
                raise error
            if not pending.interrupted:
                return pending.payloads

    def _exchange(self, requests: Sequence[Request]) -> list[tuple[_Pending, NetlinkError | None]]:
        first = self._sequence + 1
        self._sequence += len(requests)
        waiting = {first + n: _Pending(request, []) for n, request in enumerate(requests)}
        results: list[tuple[_Pending, NetlinkError | None]] = []
        self._sock.send(b"".join(_numbered(item.request.message, n) for n, item in waiting.items()))
        while waiting:
            for kind, flags, sequence, payload in _messages(self._sock.recv(1 << 17)):
                pending = waiting.get(sequence)
                if pending is None:
                    continue
                pending.interrupted |= bool(flags & NLM_F_DUMP_INTR)
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    results.append((waiting.pop(sequence), _failure(pending.request, flags, payload)))
                else:
                    pending.payloads.append(payload)
        return results


def _numbered(message: bytes, sequence: int) -> bytes:
    length, kind, flags, _, _ = _HEADER.unpack_from(message)
    padding = bytes(-length % 4)
    return _HEADER.pack(length, kind, flags, sequence, 0) + message[_HEADER.size : length] + padding


def _messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            raise OSError(f"netlink: a message of {length} bytes is too short to be one")
        yield kind, flags, sequence, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def _failure(request: Request, flags: int, payload: bytes) -> NetlinkError | None:
    error = -int.from_bytes(payload[:4], "little" if struct.pack("=H", 1)[0] else "big", signed=True)
    if error <= 0 or error in request.ignore:  # a dump ends with the number of objects or 0
        return None
    text = b""
    if flags & NLM_F_ACK_TLVS:
        capped = flags & NLM_F_CAPPED
        asked = _HEADER.size if capped else int(_HEADER.unpack_from(payload, 4)[0])
        text = attributes(payload, 4 + asked).get(NLMSGERR_ATTR_MSG, b"")
    return NetlinkError(request, error, text.rstrip(b"\0").decode(errors="replace"))


def attributes(payload: bytes, offset: int) -> dict[int, bytes]:
    """The attributes (struct nlattr) of *payload* after a fixed part of *offset* bytes, by type."""
    found: dict[int, bytes] = {}
    while offset + 4 <= len(payload):
        length, kind = struct.unpack_from("=HH", payload, offset)
        if length < 4:
            break
        found[kind & NLA_TYPE_MASK] = payload[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found
