"""Copy bytes between the command's stdio and a container: three pipes here, a terminal or a console in `pty`.

One loop over `poll`, one pending block per direction (back-pressure is not reading), binary safe.  The
container's ends are ours alone and non-blocking.  The command's stdio is shared with other programs and must
stay as it is: it gets at most PIPE_BUF bytes after POLLOUT, which a pipe then takes without blocking.
"""

import gc
import posix
import select

_BLOCK = 65536  # also the capacity of a pipe
PIPE_BUF = 4096
_DRAIN = 2 * _BLOCK  # more than any kernel buffer between a program that has ended and us
_GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL


class Flow:
    """One direction: from *source* to *sink*."""

    def __init__(self, source: int, sink: int, *, portion: int = _BLOCK) -> None:
        self.source = source
        self.sink = sink
        self.portion = portion  # bytes per write
        self.pending = b""
        self.open = True  # the source may still give something

    def read(self) -> bytes:
        """A block.  End of file, EIO (a terminal without a program) and hang-ups end the flow."""
        try:
            data = posix.read(self.source, _BLOCK)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        self.open = bool(data)
        return data

    def flush(self) -> bool:
        """Write a portion; False when nobody reads any more."""
        try:
            self.pending = self.pending[posix.write(self.sink, self.pending[: self.portion]) :]
        except BlockingIOError:
            pass
        except OSError:
            self.pending, self.open = b"", False
            return False
        return True


class Relay:
    """Flows between stdio and the container; subclasses say which and what the ends mean."""

    def __init__(self, ours: list[int]) -> None:
        self.ours = ours  # descriptors to close
        self.flows: list[Flow] = []
        self.ended = False
        self.patience: int | None = None  # milliseconds without a byte until `on_quiet`
        gc.enable()  # a short command does without (images/embed/main.c); this may last for weeks
        for fd in ours:
            posix.set_blocking(fd, False)

    def start(self) -> None:
        """Begin to copy."""

    def on_input(self, data: bytes) -> bytes:
        """What of the user's bytes goes to the container."""
        return data

    def on_end(self, flow: Flow) -> None:
        """*flow* has given its last byte, or lost its reader."""

    def on_quiet(self) -> None:
        """Nothing has moved for `patience`."""

    @property
    def carries(self) -> bool:
        """The container has not closed its side yet."""
        return any(flow.source != 0 for flow in self.flows) and not self.ended

    def finish(self) -> None:
        """Copy until the container has closed its side."""
        while self.carries:
            self.advance_all(self.wait())

    def pump(self, control: int) -> bool:
        """Copy until *control* is readable (False) or the relay is over (True)."""
        while True:
            ready = self.wait(control)
            if control in ready:
                return False
            if self.advance_all(ready):
                return True

    def advance_all(self, ready: dict[int, int]) -> bool:
        for flow in list(self.flows):
            self.advance(flow, ready)
        return self.ended

    def wait(self, control: int = -1) -> dict[int, int]:
        wanted = {control: select.POLLIN} if control >= 0 else {}
        for flow in self.flows:
            fd, event = (flow.sink, select.POLLOUT) if flow.pending else (flow.source, select.POLLIN)
            wanted[fd] = wanted.get(fd, 0) | event
        poll = select.poll()
        for fd, events in wanted.items():
            poll.register(fd, events)
        ready = dict(poll.poll(self.patience))
        if not ready:
            self.on_quiet()
        return ready

    def advance(self, flow: Flow, ready: dict[int, int]) -> None:
        if flow.pending:
            if ready.get(flow.sink, 0) & (select.POLLOUT | _GONE):
                flow.flush()
        elif ready.get(flow.source, 0) & (select.POLLIN | _GONE):
            data = flow.read()
            flow.pending = self.on_input(data) if flow.source == 0 else data
        self.settle(flow)

    def settle(self, flow: Flow) -> None:
        if not flow.open and not flow.pending and flow in self.flows:
            self.flows.remove(flow)
            self.on_end(flow)

    def drain(self) -> None:
        """Hand on what the container has written until now, without waiting for more."""
        for flow in self.flows:
            if flow.source == 0:
                flow.flush()  # what was typed before the end, as far as it goes
            else:
                self.drain_output(flow)

    def drain_output(self, flow: Flow) -> None:
        left = _DRAIN
        while flow.pending or (flow.open and left > 0):
            if flow.pending:
                wait_writable(flow.sink)
                flow.flush()
            else:
                flow.pending = flow.read()
                left -= len(flow.pending) or _DRAIN

    def close(self) -> None:
        for fd in self.ours:
            posix.close(fd)
        self.ours, self.flows, self.ended = [], [], True

    def close_one(self, fd: int) -> None:
        if fd in self.ours:
            self.ours.remove(fd)
            posix.close(fd)


class Pipes(Relay):
    """stdin, stdout and stderr of a program in the container, each its own pipe."""

    def __init__(self) -> None:
        stdin, self.input = posix.pipe()
        self.output, stdout = posix.pipe()
        self.errors, stderr = posix.pipe()
        self.theirs = (stdin, stdout, stderr)
        super().__init__([self.input, self.output, self.errors])

    def start(self) -> None:
        self.flows = [
            Flow(0, self.input),
            Flow(self.output, 1, portion=PIPE_BUF),
            Flow(self.errors, 2, portion=PIPE_BUF),
        ]

    def on_end(self, flow: Flow) -> None:
        """End of file travels on, and so does a reader's absence (SIGPIPE in the container)."""
        self.close_one(flow.sink)
        self.close_one(flow.source)


def wait_writable(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll()
