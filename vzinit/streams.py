"""Who writes to the journal as to a file: `systemd-cat`, sd_journal_stream_fd(3).  Imported by the first connection.

HEADER comes first, a line each; all that follows is log, until the connection ends.
"""

import _socket

from vzinit import channel, logs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vzinit.logs import Logs
    from vzinit.loop import Loop

# identifier, unit, priority, prefixed; then what asks for copies, which journald makes only where it is configured to.
HEADER = 7
LONGEST_OF_HEADER = 256  # bytes; no unit has a longer name
MOST = 64  # connections at a time: each may have a line that it has not ended yet
MOST_OF_A_USER = 16  # who is not root
there: "set[Connection]" = set()


def accept(loop: "Loop", listener: _socket.socket, journal: "Logs") -> None:
    number, _ = listener._accept()  # type: ignore[attr-defined]
    client = _socket.socket(fileno=number)
    pid, uid = channel.peer_of(client)
    if len(there) >= MOST or (uid and sum(one.uid == uid for one in there) >= MOST_OF_A_USER):
        client.close()
        return
    client.setblocking(False)
    there.add(Connection(loop, client, journal, pid, uid))


class Connection:
    """One client: who it is, the kernel says; what its lines are, the header, of which no more is kept than counts."""

    def __init__(self, loop: "Loop", client: _socket.socket, journal: "Logs", pid: int, uid: int) -> None:
        self.uid = uid
        self._journal = journal
        self._pid = pid
        self._unit = logs.unit_of(pid)
        self._header: list[bytes] = []
        self._begun = False
        self._name, self._priority, self._prefixed = "", logs.INFO, False
        self._lines = logs.Lines(loop, client.detach(), self._line, lambda: there.discard(self), LONGEST_OF_HEADER)

    def _line(self, line: bytes) -> None:
        if self._begun:
            self._journal.said(self._unit, self._name, self._pid, line, self._priority, self._prefixed)
        elif len(line) > LONGEST_OF_HEADER:
            self._lines.close()
        else:
            self._header.append(line)
            if len(self._header) == HEADER:
                self._begin()

    def _begin(self) -> None:
        """The header is complete."""
        identifier, _unit, priority, prefixed, *_copies = self._header
        self._header.clear()
        if not priority.isdigit() or len(priority) > 3:
            self._lines.close()
            return
        self._begun = True
        self._name = identifier.decode("utf-8", "replace")
        self._priority, self._prefixed = int(priority) & 7, prefixed == b"1"
        self._lines.longest = logs.LONGEST
