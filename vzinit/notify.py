"""sd_notify: the datagram socket on which services of Type=notify say that they are ready."""

from vzinit import datagrams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vzinit.loop import Loop

PATH = "/run/vzinit/notify"
LIMIT = 4096


class NotifySocket:
    """Opened by the first service that needs it.

    `on_message(pid, values)`: the kernel vouches for the pid.
    """

    def __init__(self, loop: "Loop", on_message: "Callable[[int, dict[str, str]], None]") -> None:
        self._loop = loop
        self._on_message = on_message
        self._is_open = False

    def open(self) -> str:
        """The path for NOTIFY_SOCKET."""
        if not self._is_open:
            datagrams.listen(self._loop, PATH, self._received, LIMIT)
            self._is_open = True
        return PATH

    def _received(self, pid: int, data: bytes) -> None:
        self._on_message(pid, parse(data.decode("utf-8", "replace")))


def parse(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
