"""What a network namespace holds: sockets, their buffers, netfilter rules.

The numbers are figures that the kernel keeps.  For the buffers it is asked for every socket (sock_diag(7)), for the
rules for every rule of nftables, iptables-nft's included.  Call from a worker thread.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from hostd.kernel.fd import Fd
from hostd.kernel.namespace import socket_in_netns

# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h, linux/unix_diag.h, linux/netfilter/nf_tables.h
_HEADER = struct.Struct("=IHHII")
_ERROR, _DONE = 2, 3
_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_SOCK_DIAG, _NETFILTER = 4, 12
_TCP_OF_ANY_FAMILY, _BY_FAMILY = 18, 20  # TCPDIAG_GETSOCK, SOCK_DIAG_BY_FAMILY
_INET_MEMORY, _UNIX_MEMORY = 7, 5  # INET_DIAG_SKMEMINFO, UNIX_DIAG_MEMINFO
_UNIX_SHOW_MEMORY = 0x20
_INET_FIXED, _UNIX_FIXED = 72, 16  # bytes of inet_diag_msg and unix_diag_msg
_GET_RULE = 10 << 8 | 7
_MEMORY = struct.Struct("=9I")  # of sock_diag: what is received is the first, what is to be sent the third and sixth
_MOST = 1_000_000  # answers: a second's work; one guest can have more sockets or rules, and then nobody knows how many
_TIMEOUT = 10.0  # seconds; the kernel answers at once, so this only bounds a kernel bug


class Sockets(NamedTuple):
    tcp: int
    other: int


class Buffers(NamedTuple):
    """Bytes that wait in sockets."""

    tcp_sent: int
    tcp_received: int
    datagrams_received: int
    other: int  # sent by UDP, and anything in unix sockets


def sockets(pid: int) -> Sockets | None:
    """Of the namespace that *pid* is in; connections that wait for late packets (TIME_WAIT) are TCP sockets, too."""
    try:
        four, six = (_figures(f"/proc/{pid}/net/{name}") for name in ("sockstat", "sockstat6"))
        tcp = four["TCP"]["inuse"] + six.get("TCP6", {}).get("inuse", 0)
        return Sockets(tcp + four["TCP"]["tw"], max(0, four["sockets"]["used"] - tcp))
    except (OSError, KeyError):
        return None


def _figures(path: str) -> dict[str, dict[str, int]]:
    """`NAME: key number key number` lines; nothing where there is no such file: a kernel without IPv6."""
    found = {}
    try:
        with open(path, encoding="ascii") as file:
            for line in file:
                name, _, rest = line.partition(":")
                words = rest.split()
                found[name] = {key: int(number) for key, number in zip(words[::2], words[1::2], strict=False)}
    except FileNotFoundError:
        pass
    return found


def buffers(netns: Fd, *, tcp: bool = True) -> Buffers | None:
    """None when this kernel cannot tell.  Not *tcp*: there is no such socket, and the kernel need not look through
    those of the whole machine.
    """
    try:
        with _conversation(netns, _SOCK_DIAG) as diag:
            streams = _tcp(diag) if tcp else Memory()
            udp = _udp(diag, socket.AF_INET) + _udp(diag, socket.AF_INET6)
            unix = _unix(diag)
    except OSError:
        return None
    return Buffers(
        tcp_sent=streams.sent,
        tcp_received=streams.received,
        datagrams_received=udp.received,
        other=udp.sent + unix.received + unix.sent,
    )


@dataclass(frozen=True, slots=True)
class Memory:
    """Of sockets, in bytes.  Added up as they come: a guest may have a million of them."""

    received: int = 0
    sent: int = 0

    def __add__(self, other: "Memory") -> "Memory":
        return Memory(self.received + other.received, self.sent + other.sent)


def _tcp(diag: socket.socket) -> Memory:
    """Of both families at once, which only the older request has: each is a walk through the tables of the machine."""
    request = struct.pack("=BBBB48xII", 0, 0, 0, 1 << (_INET_MEMORY - 1), 0xFFFFFFFF, 0)
    return _sum(_dump(diag, _TCP_OF_ANY_FAMILY, request), _INET_FIXED, _INET_MEMORY)


def _udp(diag: socket.socket, family: int) -> Memory:
    request = struct.pack("=BBBBI48x", family, socket.IPPROTO_UDP, 1 << (_INET_MEMORY - 1), 0, 0xFFFFFFFF)
    return _sum(_dump(diag, _BY_FAMILY, request), _INET_FIXED, _INET_MEMORY)


def _unix(diag: socket.socket) -> Memory:
    request = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, 0xFFFFFFFF, 0, _UNIX_SHOW_MEMORY, 0, 0)
    return _sum(_dump(diag, _BY_FAMILY, request), _UNIX_FIXED, _UNIX_MEMORY)


def _sum(answers: Iterable[bytes], offset: int, wanted: int) -> Memory:
    return sum((_memory(answer, offset, wanted) for answer in answers), Memory())


def _memory(answer: bytes, offset: int, wanted: int) -> Memory:
    """The attribute *wanted* behind the fixed part; a socket that is closing has none."""
    while offset + 4 <= len(answer):
        length, kind = struct.unpack_from("=HH", answer, offset)
        if kind == wanted and length >= 4 + _MEMORY.size:
            figures = _MEMORY.unpack_from(answer, offset + 4)
            return Memory(figures[0], max(figures[2], figures[5]))  # what was sent and not freed, and is queued
        offset += max(4, (length + 3) & ~3)
    return Memory()


def rules(netns: Fd, pid: int) -> int | None:
    """Netfilter rules; None when there are tables of the old iptables, which this cannot look into."""
    try:
        if any(_lines(f"/proc/{pid}/net/{name}") for name in ("ip_tables_names", "ip6_tables_names")):
            return None
        with _conversation(netns, _NETFILTER) as netfilter:
            return sum(1 for _ in _dump(netfilter, _GET_RULE, struct.pack("=BBH", 0, 0, 0)))
    except OSError:
        return None


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().split()
    except FileNotFoundError:
        return []


def _conversation(netns: Fd, protocol: int) -> socket.socket:
    sock = socket_in_netns(netns, socket.AF_NETLINK, socket.SOCK_RAW, protocol)
    sock.settimeout(_TIMEOUT)
    return sock


def _dump(sock: socket.socket, kind: int, request: bytes) -> Iterator[bytes]:
    """The payloads of all answers.  Raises OSError: this kernel has no such thing, or there is too much of it."""
    sock.send(_HEADER.pack(_HEADER.size + len(request), kind, _DUMP, 1, 0) + request)
    left = _MOST
    while True:
        data = sock.recv(1 << 17)
        offset = 0
        while offset + _HEADER.size <= len(data):
            length, kind_of_answer, _, _, _ = _HEADER.unpack_from(data, offset)
            if kind_of_answer == _DONE:
                return
            if kind_of_answer == _ERROR:
                (error,) = struct.unpack_from("=i", data, offset + _HEADER.size)
                raise OSError(-error, "netlink refused a dump")
            left -= 1
            if left < 0:
                raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))
            yield data[offset + _HEADER.size : offset + length]
            offset += max(_HEADER.size, (length + 3) & ~3)
