"""Questions at a terminal that nobody answers: whoever waits for an answer keeps nobody else waiting."""

import asyncio
import os
import threading
from pathlib import Path
from typing import cast

import pytest

from hostd.command.host import Host, Session
from hostd.command.main import run
from hostd.command.tools import answers
from hostd.kernel.fd import Fd
from tests.harness.fake_host import Fake, FakeSession, Said


class Silent(FakeSession):
    """Of a user who says nothing."""

    def __init__(self, cwd: str) -> None:
        super().__init__(cwd)
        self.asked = asyncio.Event()

    def out(self, text: str) -> None:
        self.asked.set()

    async def pipes(self) -> tuple[Fd, Fd, Fd]:
        reader, self.writer = os.pipe()
        return Fd(reader), Fd(os.open("/dev/null", os.O_WRONLY)), Fd(os.open("/dev/null", os.O_WRONLY))


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return Fake(str(tmp_path))


def test_a_question_is_interrupted_at_once(fake: Fake) -> None:
    """And while it waits no thread does: there are only a few of them, for all commands."""
    session = Silent(fake.session.cwd)

    async def interrupted() -> bool:
        threads = threading.active_count()
        asking = asyncio.ensure_future(run(cast(Host, fake.host), cast(Session, session), "vzsplit", []))
        await session.asked.wait()
        await asyncio.sleep(0.05)  # until it waits
        alone = threading.active_count() == threads
        answered = threading.Timer(5, os.close, [session.writer])  # the loop may be what hangs
        answered.start()
        asking.cancel()
        await asyncio.wait((asking,))
        at_once = asking.cancelled() and answered.is_alive()
        answered.cancel()
        return at_once and alone

    assert asyncio.run(interrupted())
    os.close(session.writer)


def test_there_is_an_end_to_what_is_read(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "LONGEST", 1000)
    said = fake.run("vzubc", "-f", "-", stdin="Version: 2.5\n" * 100)
    assert said == Said(1, "", "There is too much on standard input\n")
