"""A terminal of the container on the user's own: the pty of a login, or a console."""

import posix

from hostd.cli.escape import DETACH, Escapes
from hostd.cli.relay import PIPE_BUF, Flow, Relay, wait_writable
from hostd.cli.terminal import Terminal, copy_window_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
else:
    import _signal

_END_OF_TRANSMISSION = b"\x04"  # what a terminal makes an end of file of
_SAY_AGAIN = 200  # milliseconds


class Pty(Relay):
    """A terminal in the container on the user's terminal: raw, with its window size.

    *typed* goes in ahead of what stdin gives, its end included: a shell that sees that first runs nothing.
    """

    def __init__(self, master: int, typed: str = "") -> None:
        super().__init__([master])
        self.master = master
        self.typed = typed.encode("utf-8", "surrogateescape")
        self.terminal = Terminal()

    def start(self) -> None:
        typing = Flow(0, self.master)
        typing.pending = self.typed
        self.flows = [typing, Flow(self.master, 1, portion=PIPE_BUF)]
        self.go_on()
        _signal.signal(_signal.SIGWINCH, self.resize)
        _signal.signal(_signal.SIGTSTP, self.pause)
        _signal.signal(_signal.SIGCONT, self.go_on)

    def on_end(self, flow: Flow) -> None:
        if flow.source == self.master:
            self.ended = True
        elif flow.source == 0 and not self.ended:
            self.input_ended()

    def input_ended(self) -> None:
        """stdin was a file or a pipe: the shell shall see its end as a user's ^D."""
        if not self.terminal.is_one and self.patience is None:
            self.patience = _SAY_AGAIN
            self.on_quiet()

    def on_quiet(self) -> None:
        """Say it (again): a ^D is lost when the shell changes its terminal at that moment."""
        last = Flow(0, self.master)
        last.open, last.pending = False, _END_OF_TRANSMISSION
        self.flows = [flow for flow in self.flows if flow.source != 0] + [last]

    def resize(self, *_: object) -> None:
        try:
            copy_window_size(0, self.master)
        except OSError:
            pass  # stdin is no terminal, or the session has ended

    def pause(self, *_: object) -> None:
        """`kill -TSTP`: the shell gets its terminal as it was (^Z is a byte for the container)."""
        self.terminal.give_back()
        posix.kill(posix.getpid(), _signal.SIGSTOP)

    def go_on(self, *_: object) -> None:
        self.terminal.make_raw()
        self.resize()

    def close(self) -> None:
        for number in (_signal.SIGWINCH, _signal.SIGTSTP, _signal.SIGCONT):
            _signal.signal(number, _signal.SIG_DFL)
        super().close()
        self.terminal.give_back()


class Console(Pty):
    """A console of the container: a stream, with ESC . to detach and ESC ! for the secure attention key.

    A container that stops ends the stream, not the relay: the terminal stays ours, and hostd may `switch` to
    the stream of the next start.
    """

    def __init__(self, stream: int, tell: "Callable[[str], None]") -> None:
        super().__init__(stream)
        self.tell = tell
        self.escapes = Escapes()
        self.lost = False

    def switch(self, stream: int) -> None:
        self.close_one(self.master)
        posix.set_blocking(stream, False)
        self.master, self.ours, self.lost = stream, [stream], False
        typing = [flow for flow in self.flows if flow.source == 0]
        for flow in typing:
            flow.sink = stream
        self.flows = [*typing, Flow(stream, 1, portion=PIPE_BUF)]

    def on_input(self, data: bytes) -> bytes:
        data, commands = self.escapes.feed(data)
        for command in commands:
            if command == DETACH:
                self.ended = True
            else:
                self.tell("sak")
        return b"" if self.lost else data

    def on_end(self, flow: Flow) -> None:
        if flow.source == self.master:
            self.lost = True  # the end of stdin is nothing: one may watch a console without typing
            self.tell("lost")

    def close(self) -> None:
        super().close()
        if self.terminal.is_one:
            start_line()


def start_line() -> None:
    """The console may have stopped in the middle of one."""
    try:
        wait_writable(2)
        posix.write(2, b"\n")
    except OSError:
        pass
