"""--verbose and --quiet: what is printed, where, and what goes to the log whatever is printed."""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from hostd.command.host import Report, StartOptions
from hostd.container.steps import Step, run, together
from hostd.errors import Failure
from hostd.log import detail, listening, log, timed
from tests.harness.fake_host import Fake, Said


async def nothing(_context: object) -> None:
    """A step that is done at once."""


async def fail(_context: object) -> None:
    raise Failure(50, "no")


@pytest.fixture
def operation(fake: Fake) -> Iterator[None]:
    """A start of steps, one of them in a thread."""

    async def threaded(_context: object) -> None:
        await asyncio.to_thread(lambda: detail("told by a thread"))

    async def start(ctid: int, options: StartOptions, report: Report) -> None:
        report("Starting container...")
        steps = (Step("lease", nothing), together("ground", Step("storage", threaded), Step("cgroup", nothing)))
        await run("start", steps, None)
        fake.host._become(ctid, running=True)

    fake.host.start = start  # type: ignore[method-assign]
    yield


@pytest.mark.usefixtures("operation")
def test_verbose_tells_the_steps_and_their_times(fake: Fake) -> None:
    """On stderr: what a script reads from stdout is the same with it and without."""
    fake.ct(101)
    assert fake.ctl("start", "101") == Said(0, "Starting container...\n", "")
    fake.ct(101)
    said = fake.ctl("--verbose", "start", "101")
    assert (said.code, said.stdout) == (0, "Starting container...\n")
    lines = said.stderr.splitlines()
    assert sorted(line.rpartition(" ms")[0].rpartition(" ")[0] for line in lines if line.endswith(" ms")) == [
        "ground: cgroup", "ground: storage", "start: ground", "start: lease", "vzctl start",
    ]  # fmt: skip
    assert "told by a thread" in lines


def test_a_step_that_fails_is_told(fake: Fake) -> None:
    async def start(ctid: int, options: StartOptions, report: Report) -> None:
        await run("start", (Step("lease", nothing), Step("storage", fail)), None)

    fake.host.start = start  # type: ignore[method-assign]
    fake.ct(101)
    said = fake.ctl("--verbose", "start", "101")
    assert said.code == 50 and "start: storage failed after 0." in said.stderr
    assert "undo: lease" in said.stderr and said.stderr.splitlines()[-1] == "no"


def test_verbose_tells_unknown_parameters(fake: Fake) -> None:
    path = fake.ct(101, 'ONBOOT="no"\nMY_KEY="x"\nCLASS_ID="2"\n')
    line = f"Warning: {path}:2: unknown parameter MY_KEY, ignored"
    assert fake.ctl("--verbose", "mount", "101").stderr.splitlines()[0] == line
    assert fake.ctl("mount", "101").stderr == ""
    assert line not in fake.ctl("--verbose", "exec", "101", "true").stderr


@pytest.mark.usefixtures("operation")
def test_quiet_is_stronger(fake: Fake, caplog: pytest.LogCaptureFixture) -> None:
    """And the log has it all the same."""
    fake.ct(101)
    caplog.set_level(logging.INFO, logger=log.name)
    assert fake.ctl("--quiet", "--verbose", "start", "101") == Said(0, "", "")
    told = [record.message for record in caplog.records if record.levelno == logging.INFO]
    assert "Starting container..." in told and any(line.startswith("start: ground ") for line in told)


@pytest.mark.usefixtures("operation")
def test_without_it_details_are_for_the_debug_log(fake: Fake, caplog: pytest.LogCaptureFixture) -> None:
    fake.ct(101)
    caplog.set_level(logging.DEBUG, logger=log.name)
    fake.ctl("start", "101")
    assert {record.levelno for record in caplog.records if record.message.startswith("start: ")} == {logging.DEBUG}


def test_nobody_listens_after_the_command() -> None:
    """What a command began, such as a container that reboots later, tells it nothing any more."""
    heard: list[str] = []

    def listen(line: str) -> bool:
        heard.append(line)
        return True

    async def later(begin: asyncio.Event) -> None:
        await begin.wait()
        detail("later")

    async def command() -> None:
        begin = asyncio.Event()
        with listening(listen), timed("all"):
            task = asyncio.create_task(later(begin))
            await asyncio.sleep(0)
            detail("a\x1bb")
        begin.set()
        await task

    asyncio.run(command())
    assert heard[0] == "a\\x1bb" and heard[1].startswith("all ") and len(heard) == 2
