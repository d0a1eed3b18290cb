"""A clock that a test sets, and what making something takes by it."""

import time

import pytest


class Effort:
    """*takes*: seconds that one takes to make, of which *works* are the server's own.  *made*: how many were."""

    def __init__(self, takes: float) -> None:
        self.now, self.worked = 1000.0, 5.0
        self.takes = self.works = takes
        self.made = 0

    def make_one(self) -> int:
        self.now += self.takes
        self.worked += self.works
        self.made += 1
        return self.made

    def set_clocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "process_time", lambda: self.worked)
