"""The parts of a network namespace that CRIU loses: routing tables besides main, static neighbours, sysctls.

All functions act on the network namespace of the calling thread.
"""

import os
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

# linux/rtnetlink.h, linux/netlink.h
RTM_NEWROUTE, RTM_GETROUTE, RTM_NEWNEIGH, RTM_GETNEIGH = 24, 26, 28, 30
RTA_TABLE = 15
RT_TABLE_MAIN, RT_TABLE_LOCAL = 254, 255
RTM_F_CLONED = 0x200
NUD_PERMANENT = 0x80
_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_REPLACE = 0x505  # NLM_F_REQUEST | NLM_F_ACK | NLM_F_REPLACE | NLM_F_CREATE
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_RTMSG = struct.Struct("=8BI")
_NDMSG = struct.Struct("=BBHiHBB")
_BUFFER = 1 << 20
_PAGE = 4096

SYSCTLS = "/proc/sys/net"
# conf: CRIU saves it.  neigh, route: commands and caches.  The rest of /proc/sys/net in a namespace is its
# own.
_SKIPPED = frozenset({"conf", "neigh", "route"})


@dataclass(frozen=True, slots=True)
class Network:
    """Messages as the kernel gave them, in hexadecimal; sysctls by their path below /proc/sys/net."""

    routes: list[str] = field(default_factory=list)
    neighbours: list[str] = field(default_factory=list)
    sysctls: dict[str, str] = field(default_factory=dict)


def save() -> Network:
    """What this network namespace holds that CRIU does not keep."""
    with _rtnetlink() as link:
        routes = [body.hex() for body in _dump(link, RTM_GETROUTE) if _wanted_route(body)]
        neighbours = [body.hex() for body in _dump(link, RTM_GETNEIGH) if _is_static(body)]
    return Network(routes, neighbours, dict(_sysctls(SYSCTLS)))


def load(saved: Network) -> list[str]:
    """Bring *saved* into this network namespace.  Answers what could not be done."""
    failed = [f"sysctl net/{name}: {error}" for name, error in _set_sysctls(saved.sysctls)]
    with _rtnetlink() as link:
        for kind, messages in ((RTM_NEWROUTE, saved.routes), (RTM_NEWNEIGH, saved.neighbours)):
            for message in messages:
                error = _request(link, kind, bytes.fromhex(message))
                if error:
                    failed.append(f"{'route' if kind == RTM_NEWROUTE else 'neighbour'}: {os.strerror(error)}")
    return failed


def _wanted_route(body: bytes) -> bool:
    table, flags = _RTMSG.unpack_from(body)[4], _RTMSG.unpack_from(body)[8]
    for kind, value in attributes(body[_RTMSG.size :]):
        if kind == RTA_TABLE:
            table = int.from_bytes(value, sys.byteorder)
    return table not in (0, RT_TABLE_MAIN, RT_TABLE_LOCAL) and not flags & RTM_F_CLONED


def _is_static(body: bytes) -> bool:
    return bool(_NDMSG.unpack_from(body)[4] & NUD_PERMANENT)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, value) of the attributes in *data*."""
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            return
        yield kind & 0x3FFF, data[4:length]
        data = data[(length + 3) & ~3 :]


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, body) of the netlink messages in one datagram."""
    while len(data) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(data)
        if length < _HEADER.size:
            return
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def _rtnetlink() -> socket.socket:
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    link.bind((0, 0))
    return link


def _dump(link: socket.socket, kind: int) -> Iterator[bytes]:
    body = bytes(12)  # rtmsg or ndmsg, all families
    link.send(_HEADER.pack(_HEADER.size + len(body), kind, _DUMP, 1, 0) + body)
    while True:
        for found, content in messages(link.recv(_BUFFER)):
            if found in (_NLMSG_DONE, _NLMSG_ERROR):
                return
            yield content


def _request(link: socket.socket, kind: int, body: bytes) -> int:
    """errno of the answer, 0 when it was done."""
    link.send(_HEADER.pack(_HEADER.size + len(body), kind, _REPLACE, 1, 0) + body)
    for found, content in messages(link.recv(_BUFFER)):
        if found == _NLMSG_ERROR:
            code: int = struct.unpack_from("=i", content)[0]
            return -code
    return 0


def _sysctls(top: str) -> Iterator[tuple[str, str]]:
    for folder, below, names in os.walk(top):
        below[:] = [name for name in below if name not in _SKIPPED]
        for name in names:
            path = f"{folder}/{name}"
            try:
                if stat.S_IMODE(os.stat(path).st_mode) & 0o600 == 0o600:
                    yield path[len(top) + 1 :], _read(path)
            except (OSError, UnicodeDecodeError):
                continue


def _read(path: str) -> str:
    """A sysctl; without the layers of open(), which take five times as long, and there are hundreds."""
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = piece = os.read(number, _PAGE)
        while len(piece) == _PAGE:  # the kernel clears a buffer of the size asked for: ask for little
            piece = os.read(number, _PAGE)
            data += piece
        return data.decode("ascii").rstrip("\n")
    finally:
        os.close(number)


def _set_sysctls(wanted: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in wanted.items():
        path = f"{SYSCTLS}/{name}"
        try:
            if _read(path) == value:
                continue
            with open(path, "w", encoding="ascii") as file:
                file.write(value)
        except FileNotFoundError:
            continue  # not on this kernel
        except OSError as error:
            yield name, error.strerror or str(error)
