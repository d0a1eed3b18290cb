"""Sockets of socket units, made in the child that becomes their service (LISTEN_FDS, sd_listen_fds(3)).

The service is started at once and not by the first connection: it holds its sockets itself, PID 1 holds none.
"""

import _socket
import posix

from vzinit import fds, users
from vzinit.unitfile import Unit

FIRST = 3
KINDS = {
    "ListenStream": _socket.SOCK_STREAM, "ListenDatagram": _socket.SOCK_DGRAM,
    "ListenSequentialPacket": _socket.SOCK_SEQPACKET, "ListenFIFO": 0,
}  # fmt: skip
BACKLOG = "4096"
SEPARATOR = "\n"
FIELDS = ("kind", "address", "mode", "user", "group", "backlog", "name")


def described(unit: Unit) -> list[str]:
    """One line for each thing that a socket unit listens at: FIELDS, each on a line."""
    common = (
        unit.last("Socket", "SocketMode", "0666"), unit.last("Socket", "SocketUser"),
        unit.last("Socket", "SocketGroup"), unit.last("Socket", "Backlog", BACKLOG),
        unit.last("Socket", "FileDescriptorName", unit.name),
    )  # fmt: skip
    return [SEPARATOR.join((kind, address, *common)) for kind in KINDS for address in unit.all("Socket", kind)]


def take(lines: list[str], environment: dict[str, str]) -> None:
    """Make what *lines* describe the descriptors from FIRST on.  Raises OSError and LookupError."""
    if not lines:
        return
    names = []
    for number, line in enumerate(lines, FIRST):
        wanted = dict(zip(FIELDS, line.split(SEPARATOR), strict=True))
        names.append(wanted["name"])
        made = opened(wanted)
        if made != number:
            posix.dup2(made, number)
            posix.close(made)
        else:
            posix.set_inheritable(number, True)
    environment.update(
        LISTEN_FDS=str(len(lines)), LISTEN_PID=str(posix.getpid()), LISTEN_FDNAMES=":".join(names)
    )


def opened(wanted: dict[str, str]) -> int:
    """The descriptor of one listening socket or FIFO."""
    address, kind = wanted["address"], KINDS[wanted["kind"]]
    if not kind:
        fds.make_parents(address)
        if not fds.exists(address):
            posix.mkfifo(address)
        own(address, wanted)
        return posix.open(address, posix.O_RDWR | posix.O_NONBLOCK | posix.O_CLOEXEC)
    family, place = where(address)
    made = _socket.socket(family, kind | _socket.SOCK_CLOEXEC)
    if family == _socket.AF_UNIX:
        path = address if address.startswith("/") else ""
        if path:
            fds.make_parents(path)
            if fds.exists(path):
                posix.unlink(path)
    else:
        made.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    made.bind(place)
    if family == _socket.AF_UNIX and path:
        own(path, wanted)
    if kind != _socket.SOCK_DGRAM:
        made.listen(int(wanted["backlog"]))
    return made.detach()


def own(path: str, wanted: dict[str, str]) -> None:
    """Mode and owner of a socket in the file system."""
    posix.chmod(path, int(wanted["mode"], 8))
    uid = int(users.by_name(wanted["user"])[2]) if wanted["user"] else -1
    gid = users.gid_of(wanted["group"]) if wanted["group"] else -1
    if uid >= 0 or gid >= 0:
        posix.chown(path, uid, gid)


def where(address: str) -> "tuple[int, str | bytes | tuple[str, int]]":
    """Family and address: a path, `@abstract`, a port, `host:port`, `[v6]:port`.  Raises ValueError."""
    if address.startswith("/"):
        return _socket.AF_UNIX, address
    if address.startswith("@"):
        return _socket.AF_UNIX, b"\0" + address[1:].encode()
    host, _, port = address.rpartition(":")
    if not host:
        return _socket.AF_INET6, ("::", int(port))
    if host.startswith("["):
        return _socket.AF_INET6, (host.strip("[]"), int(port))
    return _socket.AF_INET, (host, int(port))
