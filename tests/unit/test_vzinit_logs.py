"""Who may write how much into the log, and what is read from streams."""

import os
import select
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from vzinit import channel, datagrams, logs, streams
from vzinit.loop import Loop
from vzinit.rates import BURST, BYTES, INTERVAL, TOO_MUCH, Rates

ERROR, INFO = 3, 6

# Rates.


def test_so_many_messages_and_no_more() -> None:
    rates = Rates()
    assert [rates.take("a", INFO, 10, 1.0) for _ in range(BURST + 2)] == [0] * BURST + [TOO_MUCH] * 2
    assert rates.take("b", INFO, 10, 1.0) == 0, "each unit has a share"
    assert rates.take("a", INFO, 10, INTERVAL) == TOO_MUCH
    assert rates.take("a", INFO, 10, INTERVAL + 2.0) == 3, "what was left out is told in the next interval"
    assert rates.take("a", INFO, 10, INTERVAL + 2.0) == 0


def test_a_flood_does_not_hide_an_error() -> None:
    rates = Rates()
    for _ in range(BURST + 1):
        last = rates.take("a", INFO, 10, 1.0)
    assert (last, rates.take("a", ERROR, 10, 1.0)) == (TOO_MUCH, 0)


def test_few_large_messages_are_a_flood_as_well() -> None:
    rates = Rates()
    taken = [rates.take("a", INFO, 1 << 20, 1.0) for _ in range(BYTES // (1 << 20) + 1)]
    assert taken == [0] * (BYTES // (1 << 20)) + [TOO_MUCH]
    assert rates.take("b", INFO, BYTES + 1, 1.0) == 0, "one is always taken"


def test_units_that_are_silent_are_forgotten() -> None:
    rates = Rates()
    for number in range(1000):
        rates.take(f"unit@{number}", INFO, 10, number * INTERVAL)
    assert len(rates._shares) <= 256


@pytest.mark.parametrize(
    ("fields", "priority"), [([b"MESSAGE=x", b"PRIORITY=3"], 3), ([b"MESSAGE=x"], 6), ([b"PRIORITY=high"], 6)]
)
def test_the_priority_of_a_message(fields: list[bytes], priority: int) -> None:
    assert logs.priority_of(fields) == priority


# The journal's own protocol.

BINARY = b"MESSAGE\n" + (5).to_bytes(8, "little") + b"a\n=\nb\n"


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (b"MESSAGE=x\nPRIORITY=3\n", [b"MESSAGE=x", b"PRIORITY=3"]),
        (b"MESSAGE=x\nPRIORITY=3", [b"MESSAGE=x", b"PRIORITY=3"]),
        (b"A=1\n" + BINARY + b"B=2\n", [b"A=1", b"MESSAGE=a\n=\nb", b"B=2"]),
        (BINARY[:-3], [b"MESSAGE=a\n="]),
        (b"MESSAGE\n", [b"MESSAGE="]),
        (b"MESSAGE\n" + b"\xff" * 8 + b"x\nA=1\n", [b"MESSAGE=x\nA=1\n"]),
        (b"\n\nA=1\n\nB=2\n", [b"A=1", b"B=2"]),
        (b"", []),
    ],
)
def test_a_message_of_fields(data: bytes, fields: list[bytes]) -> None:
    assert logs.from_native(data) == fields


@pytest.mark.parametrize("line", [b"\n", b"A=1\n", b"A\n" + bytes(8) + b"\n"])
def test_a_datagram_of_many_lines_is_not_walked_through(line: bytes) -> None:
    """PID 1 reads it, and has others to serve: what it does then is counted, not timed."""
    calls = 0

    def count(_frame: object, _event: str, _argument: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        found = logs.from_native(line * (logs.DATAGRAM // len(line)))
    finally:
        sys.setprofile(None)
    assert len(found) <= logs.MOST_FIELDS
    assert calls < 20 * logs.MOST_FIELDS


# Streams.


class FakeLogs:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, int, bytes, int, bool]] = []

    def said(self, *line: object) -> None:
        self.lines.append(line)  # type: ignore[arg-type]


class Journal:
    """A stream socket that is read as PID 1 does it."""

    def __init__(self, path: str, stack: ExitStack) -> None:
        self.stack = stack
        self.loop = Loop(lambda _where, error: pytest.fail(repr(error)))
        self.path = path
        self.logs = FakeLogs()
        self.listener = datagrams.bound(path, socket.SOCK_STREAM)
        stack.callback(self.listener.close)
        self.listener.listen(4)

    def connect(self) -> socket.socket:
        client = self.stack.enter_context(socket.socket(socket.AF_UNIX))
        client.connect(self.path)
        streams.accept(self.loop, self.listener, self.logs)  # type: ignore[arg-type]
        return client


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with ExitStack() as stack:
        yield Journal(f"{tmp_path}/stdout", stack)
    for one in list(streams.there):
        one._lines.close()


HEADER = b"tag\n\n3\n1\n0\n0\n0\n"


def test_a_stream(journal: Journal) -> None:
    client = journal.connect()
    for part in (HEADER[:7], HEADER[7:] + b"one\ntw", b"o\n\nlast"):
        client.send(part)
        journal.loop.turn()
    client.close()
    journal.loop.turn()
    who = ("init.scope", "tag", os.getpid())
    texts = (b"one", b"two", b"", b"last")
    assert journal.logs.lines == [(*who, text, 3, True) for text in texts]
    assert not streams.there


HEADERS = [b"tag\n\nhigh\n1\n0\n0\n0\n", b"tag\n\n\n1\n0\n0\n0\n", b"tag\n\n99999\n1\n0\n0\n0\n"]


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_that_is_none_ends_it(journal: Journal, header: bytes) -> None:
    client = journal.connect()
    client.send(header + b"line\nline\n")
    journal.loop.turn()
    assert journal.logs.lines == []
    assert not streams.there
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        client.send(b"x")


def test_a_header_without_end_is_not_kept(journal: Journal) -> None:
    for sent in (b"x" * 4000, b"tag\n" + b"x" * 4000, b"x" * 4000 + b"\n", b"tag\n\n3\n" + b"x" * 300 + b"\n"):
        client = journal.connect()
        client.send(sent)
        journal.loop.turn()
        assert not streams.there, sent
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            client.send(b"x")
    assert journal.logs.lines == []


def test_a_long_line_that_begins_with_the_header_is_not_cut(journal: Journal) -> None:
    client = journal.connect()
    for part in (HEADER + b"x" * 4000, b"x" * 4000, b"\n" + b"y" * logs.LONGEST, b"y"):
        client.send(part)
        for _ in range(20):
            if select.select([one._lines._fd for one in streams.there], [], [], 0)[0]:
                journal.loop.turn()
    assert [line[3] for line in journal.logs.lines] == [b"x" * 8000, b"y" * (logs.LONGEST + 1)]


def test_a_user_has_only_so_many(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST_OF_A_USER", 2)
    users = iter((1000, 1000, 1000, 1001, 0, 0, 0))
    monkeypatch.setattr(channel, "peer_of", lambda _client: (os.getpid(), next(users)))
    clients = [journal.connect() for _ in range(7)]
    assert sorted(one.uid for one in streams.there) == [0, 0, 0, 1000, 1000, 1001]
    assert clients[2].recv(1) == b""
    for client in clients:
        client.close()


def test_there_are_only_so_many(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST", 1)
    first, second = journal.connect(), journal.connect()
    assert second.recv(1) == b""
    first.close()
    journal.loop.turn()
    assert not streams.there
