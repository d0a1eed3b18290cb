"""How errors and cancellations leave the commands."""

import asyncio
import os

import pytest

from hostd.command import edge
from hostd.errors import Failure, VzError, doing
from tests.harness.fake_host import Broken, Fake


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (Broken("no"), "no", 3),
        (Broken("no", hint="yes"), "no (yes)", 3),
        (Failure(46, "full"), "full", 46),
        (OSError(28, "No space left on device", "/x"), "Error: /x: No space left on device", 3),
        (OSError(28, "No space left on device"), "Error: No space left on device", 3),
        (TimeoutError(), "Error: operation timed out", 3),
        (ExceptionGroup("several", [Failure(31, "down")]), "down", 31),
        (KeyError("x"), "Error: internal error: KeyError: 'x'", 3),
    ],
)
def test_the_edge(error: Exception, text: str, code: int) -> None:
    assert edge.report(error) == (text, code)


def test_the_innermost_note_is_shown() -> None:
    with pytest.raises(OSError) as caught, doing("start CT 101"), doing("mount /proc"):
        raise PermissionError(1, "Operation not permitted")
    assert edge.report(caught.value) == ("Error: mount /proc: Operation not permitted", 3)


def test_nothing_gets_past_the_edge(fake: Fake) -> None:
    fake.up(101)
    for error, code in ((RuntimeError("x"), 3), (VzError("y"), 3)):
        fake.host.failure = error
        said = fake.ctl("stop", "101")
        assert said.code == code and said.stderr.count("\n") == 1
        assert os.listdir(fake.paths.lock_dir) == []


@pytest.mark.parametrize(("verb", "stderr"), [("stop", "Cancelling...\n"), ("exec2", "")])
def test_an_interrupted_command(fake: Fake, verb: str, stderr: str) -> None:
    """The lock is free again, and the cancellation goes on to the daemon."""
    fake.up(101)

    async def interrupted() -> None:
        fake.host.begun = asyncio.Event()
        task = asyncio.ensure_future(fake.start(verb, "101", "x" if verb == "exec2" else "--fast"))
        await fake.host.begun.wait()
        assert (len(os.listdir(fake.paths.lock_dir)) == 1) == (verb == "stop")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(interrupted())
    assert fake.session.stderr == stderr and os.listdir(fake.paths.lock_dir) == []
