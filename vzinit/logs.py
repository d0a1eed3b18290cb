"""What services say: lines of their output, syslog(3), and the journal's own protocol, into one bounded journal.

Only in images that have a `journalctl` to read it.  Elsewhere services write to the console.
"""

import _socket
import posix
import time

from vzinit import cgroup, datagrams, fds, journal, rates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vzinit.loop import Loop

ON_DISK, IN_MEMORY = "/var/log/journal", "/run/log/journal"  # the former where somebody has made it
SYSLOG, LINK = "/run/systemd/journal/dev-log", "/dev/log"
NATIVE = "/run/systemd/journal/socket"
STREAMS = "/run/systemd/journal/stdout"
FORWARD = "/run/systemd/journal/syslog"  # rsyslog listens here when it is started with its socket unit
BOOT_ID = "/proc/sys/kernel/random/boot_id"
LONGEST = 48 << 10  # bytes of a line, as journald's LineMax=
DATAGRAM = 64 << 10
MOST_FIELDS = 64  # of an entry, and empty lines; more is nothing that anybody reads
WARNING, NOTICE, INFO = 4, 5, 6


class Logs:
    """The journal and its sources."""

    def __init__(self, loop: "Loop") -> None:
        self._loop = loop
        machine = fds.read_text("/etc/machine-id").strip()
        boot = fds.read_text(BOOT_ID).strip().replace("-", "")
        place = ON_DISK if fds.is_dir(ON_DISK) else IN_MEMORY
        self._journal = journal.Journal(
            f"{place}/{machine}/system.journal", bytes.fromhex(machine), bytes.fromhex(boot)
        )
        self._rates = rates.Rates()
        self._forward = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)

    def open(self) -> None:
        """Listen for syslog, and for the journal's protocols.  Raises OSError."""
        datagrams.listen(self._loop, SYSLOG, self._syslog, DATAGRAM)
        datagrams.listen(self._loop, NATIVE, self._native, DATAGRAM)
        self._streams = datagrams.bound(STREAMS, _socket.SOCK_STREAM)
        self._streams.listen(64)
        self._loop.watch(self._streams.fileno(), lambda _events: self._accept())
        try:
            posix.unlink(LINK)
        except FileNotFoundError:
            pass
        posix.symlink(SYSLOG, LINK)

    def about(self, unit: str, text: str, priority: int = NOTICE) -> None:
        """PID 1 has to say something about *unit*."""
        self._journal.append(journal.about_unit(unit, text, priority))

    def stream(self, unit: str, ident: str) -> "Stream":
        """For the output of a program of *unit*."""
        return Stream(self._loop, lambda pid, line: self.said(unit, ident, pid, line))

    def said(
        self, unit: str, ident: str, pid: int, line: bytes, priority: int = INFO, prefixed: bool = True
    ) -> None:
        """A line of the output of process *pid*; what is *prefixed* may begin with its priority: `<3>`."""
        if prefixed and line[:1] == b"<" and line[2:3] == b">" and line[1:2].isdigit():
            priority, line = int(line[1:2]) & 7, line[3:]
        if line and self._is_due(unit, priority, len(line)):
            self._journal.append(journal.line_fields(unit, pid, ident, line, priority))

    def _is_due(self, unit: str, priority: int, size: int) -> bool:
        """False when *unit* has had its share."""
        before = self._rates.take(unit, priority, size, time.monotonic())
        if before > 0:
            self.about(unit, f"Suppressed {before} messages from {unit}", WARNING)
        return before != rates.TOO_MUCH

    def _accept(self) -> None:
        from vzinit import streams

        streams.accept(self._loop, self._streams, self)

    # Datagrams.

    def _syslog(self, pid: int, data: bytes) -> None:
        """`<13>Nov 28 12:00:00 name[123]: text`, as the C library writes it."""
        try:
            self._forward.sendto(data, _socket.MSG_DONTWAIT, FORWARD)
        except OSError:
            pass  # nobody is there, or does not keep up
        unit = unit_of(pid)
        priority, ident, text = from_syslog(data.rstrip(b"\n\0"))
        if self._is_due(unit, priority, len(text)):
            self._journal.append(journal.line_fields(unit, pid, ident, text, priority))

    def _native(self, pid: int, data: bytes) -> None:
        unit = unit_of(pid)
        fields = [field for field in from_native(data) if is_field(field)]
        if fields and self._is_due(unit, priority_of(fields), len(data)):
            trusted = [b"_PID=%d" % pid, b"_SYSTEMD_UNIT=" + unit.encode(), hostname()]
            self._journal.append([*fields, *trusted])


class Lines:
    """Calls `on_line` for each line of a pipe or connection, which is closed at its end; then `on_end`.

    What has grown *longest* without an end is a line.
    """

    def __init__(
        self,
        loop: "Loop",
        fd: int,
        on_line: "Callable[[bytes], None]",
        on_end: "Callable[[], object] | None" = None,
        longest: int = LONGEST,
    ) -> None:
        self.longest = longest
        self._loop = loop
        self._fd = fd
        self._on_line = on_line
        self._on_end = on_end
        self._rest = b""
        posix.set_blocking(fd, False)
        loop.watch(fd, lambda _events: self._read())

    def _read(self) -> None:
        try:
            part = posix.read(self._fd, 4096)
        except BlockingIOError:
            return
        except OSError:
            part = b""  # the other end has left something unread, and gone
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            self._tell(line)
        if self._rest and (not part or len(self._rest) > self.longest):
            rest, self._rest = self._rest, b""
            self._tell(rest)
        if not part:
            self.close()

    def _tell(self, line: bytes) -> None:
        if self._fd >= 0:  # else closed by the line before
            self._on_line(line)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        self._rest = b""
        if fd >= 0:
            self._loop.unwatch(fd)
            fds.close(fd)
            if self._on_end:
                self._on_end()


class Stream(Lines):
    """Lines of one pipe, whose end `writer` is the program's: to be closed here after the fork."""

    def __init__(self, loop: "Loop", on_line: "Callable[[int, bytes], None]") -> None:
        self.pid = 0  # of the program
        reader, self.writer = posix.pipe2(posix.O_CLOEXEC)
        super().__init__(loop, reader, lambda line: on_line(self.pid, line))


def unit_of(pid: int) -> str:
    return cgroup.unit_of(pid) or "init.scope"


def hostname() -> bytes:
    return b"_HOSTNAME=" + posix.uname().nodename.encode("utf-8", "surrogateescape")


def from_syslog(data: bytes) -> tuple[int, str, bytes]:
    """Priority, identifier and text of a datagram of syslog(3)."""
    priority, text = NOTICE, data
    if data[:1] == b"<" and b">" in data[:5]:
        number, _, text = data[1:].partition(b">")
        priority = int(number) & 7 if number.isdigit() else NOTICE
    if text[3:4] == b" " and text[6:7] == b" " and text[9:10] == b":":  # Mmm dd hh:mm:ss
        text = text[16:]
    head, colon, rest = text.partition(b":")
    name, _, _pid = head.partition(b"[")
    if colon and name and b" " not in name:
        return priority, name.decode("utf-8", "replace"), rest.lstrip(b" ")
    return priority, "unknown", text


def priority_of(fields: list[bytes]) -> int:
    """What a program of the journal's protocol says of its message."""
    values = [field[9:] for field in fields if field.startswith(b"PRIORITY=")]
    return int(values[0]) & 7 if values and values[0].isdigit() and len(values[0]) < 4 else INFO


def is_field(field: bytes) -> bool:
    """The name is one that a program may choose: capitals, digits and underscores, none of them first but a capital."""
    name = field.partition(b"=")[0]
    return name[:1].isalpha() and len(name) <= 64 and name.replace(b"_", b"A").isalnum() and name.isupper()


def from_native(data: bytes) -> list[bytes]:
    """The fields of one message of the journal's protocol: `NAME=text`, or a name, a length and that many bytes.

    Of so many lines only: a datagram may be thousands, most of them empty.
    """
    found = []
    at = 0
    for _ in range(MOST_FIELDS):
        line, at = line_at(data, at)
        if b"=" in line:
            found.append(line)
        elif line:
            start = at + 8
            end = start + int.from_bytes(data[at:start], "little")
            found.append(line + b"=" + data[start:end])
            at = end + 1
    return found


def line_at(data: bytes, at: int) -> tuple[bytes, int]:
    """The line that begins there, and where the next one does."""
    end = data.find(b"\n", at)
    return (data[at:end], end + 1) if end >= 0 else (data[at:], len(data))
