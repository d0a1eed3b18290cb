"""The login prompt of a console: there is one when somebody looks, and never two."""

import os
import socket
from collections.abc import Callable, Iterator

import pytest

from vzinit import child, console, reaper, ring, session
from vzinit.loop import Loop, Timer


class Pauses(Loop):
    """A loop whose time passes when `fire` is called."""

    def __init__(self) -> None:
        super().__init__(lambda _where, error: pytest.fail(repr(error)))
        self.due: list[Callable[[], None]] = []

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        self.due.append(call)
        return Timer(0.0, call)

    def fire(self) -> None:
        due, self.due = self.due, []
        for call in due:
            call()


class Terminal:
    """A console, the prompts it has started, and people who look at it."""

    def __init__(self) -> None:
        self.loop = Pauses()
        self.console = console.Console(self.loop, [], ring.new("test"))
        self.console.set_prompt(["prompt"])
        self.running: list[Callable[[int, int], None]] = []
        self.started = 0
        self.pid = 42  # of every prompt

    def start(self, _loop: object, _program: object, _on_start: object, on_end: Callable[[int, int], None]) -> object:
        self.running.append(on_end)
        self.started += 1
        return self

    def end_prompt(self) -> None:
        self.running.pop()(0, 0)

    def look(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        self.console.attach(theirs.detach())
        return ours


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    made = Terminal()
    monkeypatch.setattr(child, "start", made.start)
    monkeypatch.setattr(reaper, "adopt", lambda started: started)
    monkeypatch.setattr(session, "log_out", lambda _pid, then: then())
    yield made
    made.console.detach_all()
    for number in (made.console.master, made.console.slave, made.console.ring.fd):
        os.close(number)


def test_one_for_all_viewers(terminal: Terminal) -> None:
    with terminal.look(), terminal.look():
        assert terminal.started == 1


def test_again_after_a_logout(terminal: Terminal) -> None:
    with terminal.look():
        terminal.end_prompt()
        assert len(terminal.running) == 1


def test_a_pause_that_ends_later_makes_no_second_one(terminal: Terminal) -> None:
    """It ended while nobody looked; somebody did before the pause was over."""
    terminal.look().close()
    terminal.console.detach_all()
    terminal.end_prompt()
    assert terminal.running == []
    with terminal.look(), terminal.look():
        terminal.loop.fire()
        with terminal.look():
            assert len(terminal.running) == 1


def test_a_broken_one_rests_and_comes_back_by_itself(terminal: Terminal) -> None:
    with terminal.look():
        for _ in range(console.HANGUPS_BEFORE_PAUSE):
            terminal.end_prompt()
        assert terminal.running == []
        with terminal.look():
            assert terminal.running == [], "looking again is no reason"
            terminal.loop.fire()
            assert len(terminal.running) == 1
