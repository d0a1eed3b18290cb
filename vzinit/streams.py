"""Who writes to the journal as to a file: `systemd-cat`, sd_journal_stream_fd(3).  Imported by the first connection.

HEADER comes first, a line each; all that follows is log, until the connection ends.
"""

import _socket

from vzinit import channel, logs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vzinit.logs import Logs
    from vzinit.loop import Loop

# The last three ask for copies, which journald makes only where it is configured to: here it is not.
HEADER = ("identifier", "unit", "priority", "prefixed", "to_syslog", "to_kmsg", "to_console")
LONGEST_IDENTIFIER = 256
MOST = 256  # connections at a time
there: "set[Connection]" = set()


def accept(loop: "Loop", listener: _socket.socket, journal: "Logs") -> None:
    number, _ = listener._accept()  # type: ignore[attr-defined]
    client = _socket.socket(fileno=number)
    if len(there) >= MOST:
        client.close()
        return
    client.setblocking(False)
    there.add(Connection(loop, client, journal))


class Connection:
    """One client: who it is, the kernel says; what its lines are, the header."""

    def __init__(self, loop: "Loop", client: _socket.socket, journal: "Logs") -> None:
        self._journal = journal
        self._pid, _uid = channel.peer_of(client)
        self._unit = logs.unit_of(self._pid)
        self._header: dict[str, bytes] = {}
        self._lines = logs.Lines(loop, client.detach(), self._line, lambda: there.discard(self))

    def _line(self, line: bytes) -> None:
        if len(self._header) < len(HEADER):
            self._header[HEADER[len(self._header)]] = line
            if len(self._header) == len(HEADER) and not self._is_fine():
                self._lines.close()
            return
        name = self._header["identifier"][:LONGEST_IDENTIFIER].decode("utf-8", "replace")
        priority, prefixed = int(self._header["priority"]), self._header["prefixed"] == b"1"
        self._journal.said(self._unit, name, self._pid, line, priority & 7, prefixed)

    def _is_fine(self) -> bool:
        return self._header["priority"].isdigit() and len(self._header["priority"]) <= 3
