"""/run/openrc/init.ctl: the FIFO on which `openrc-shutdown` asks PID 1 for a way down, in one word."""

import posix

from vzinit import fds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vzinit.loop import Loop

FIFO = "/run/openrc/init.ctl"
WORDS = ("halt", "poweroff", "reboot")


def listen(loop: "Loop", on_request: "Callable[[str], None]") -> None:
    """Make the FIFO, and call `on_request("reboot")`.  Raises OSError."""
    fds.make_parents(FIFO)
    posix.mkfifo(FIFO, 0o600)
    # Open for writing too: without a writer the FIFO would be at its end for ever.
    fd = posix.open(FIFO, posix.O_RDWR | posix.O_NONBLOCK | posix.O_CLOEXEC)

    def receive(_events: int) -> None:
        word = posix.read(fd, 64).decode("ascii", "replace").strip("\0\n ")
        if word in WORDS:
            on_request(word)

    loop.watch(fd, receive)
