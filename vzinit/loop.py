"""One thread, one epoll: descriptors, timers; a bug in a handler is reported and survived."""

import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
LONGEST_WAIT = 3600.0  # seconds; epoll takes no more than 24 days


class Timer:
    """A call that is due at `when` (seconds of CLOCK_MONOTONIC); `cancel()` may be called at any time."""

    __slots__ = ("call", "when")

    def __init__(self, when: float, call: "Callable[[], None]") -> None:
        self.when = when
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class Loop:
    """Runs handlers.  `trouble(what, error)` hears of every exception that a handler lets out."""

    def __init__(self, trouble: "Callable[[str, BaseException], None]") -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._timers: list[Timer] = []
        self._trouble = trouble

    def watch(self, fd: int, handler: "Callable[[int], None]", events: int = READ) -> None:
        """Call `handler(events)` whenever *fd* is ready.  Unwatch before closing."""
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def change(self, fd: int, events: int) -> None:
        self._epoll.modify(fd, events)

    def unwatch(self, fd: int) -> None:
        """Forget *fd*; fine if it is not watched."""
        if self._handlers.pop(fd, None):
            self._epoll.unregister(fd)

    def after(self, seconds: float, call: "Callable[[], None]") -> Timer:
        timer = Timer(time.monotonic() + seconds, call)
        self._timers.append(timer)
        return timer

    def run(self) -> None:
        """Never returns: PID 1 must not end, whatever goes wrong."""
        while True:
            try:
                self.turn()
            except Exception as error:
                self._trouble("loop", error)
                time.sleep(0.1)

    def turn(self) -> None:
        """Wait for something to do, and do it.

        A handler may close a descriptor and open another, which gets its number: what was ready is not the new one.
        """
        ready = [(fd, self._handlers.get(fd), events) for fd, events in self._epoll.poll(self._patience(), 16)]
        for fd, handler, events in ready:
            if handler and self._handlers.get(fd) is handler:
                self._guarded(handler, events)
        self._fire()

    def _patience(self) -> float | None:
        self._timers = [timer for timer in self._timers if timer.call]
        if not self._timers:
            return None
        due = min(timer.when for timer in self._timers) - time.monotonic()
        return min(max(0.0, due), LONGEST_WAIT)

    def _fire(self) -> None:
        now = time.monotonic()
        for timer in [timer for timer in self._timers if timer.when <= now]:
            if timer.call:
                call, timer.call = timer.call, None
                self._guarded(call)

    def _guarded(self, call: "Callable[..., None]", *arguments: int) -> None:
        try:
            call(*arguments)
        except Exception as error:
            self._trouble(getattr(call, "__qualname__", "handler"), error)
