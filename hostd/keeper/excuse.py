"""Answer the commands that wait for a daemon which does not come up."""

from _socket import socket

from hostd.cli import wire
from hostd.cli.place import log_file
from vzinit.protocol import encode

_PATIENCE = 1.0  # seconds for a command to send its request after it has connected
_SYSTEM_ERROR = 3


def answer_commands(listener: socket, reason: str) -> None:
    """Tell each waiting command why, and that it failed.  *listener* does not block; *reason* may be any bytes."""
    why = f"hostd does not start: {reason[:1000]} (see {log_file()})\n".replace("\0", "\ufffd")  # frames carry no NUL
    while True:
        try:
            fd, _ = listener._accept()  # type: ignore[attr-defined]  # the C base of socket.accept()
        except OSError:
            return
        command = socket(fileno=fd)
        command.settimeout(_PATIENCE)
        try:
            wire.close_all(wire.receive(command)[1])  # a reset would overtake the answer if it stayed unread
            command.send(encode("err", text=why))
            command.send(encode("exit", code=_SYSTEM_ERROR))
        except OSError:
            pass
        command.close()
