"""Work that a guest may hold up: who gives it up knows that nothing comes of it, and who has begun is waited for."""

import asyncio
import errno
import threading

import pytest

from hostd.checkpoint.aside import bounded, commit
from tests.harness.patience import patient


class Work:
    """Waits for a guest, and then for the kernel; tells whether it changed anything."""

    def __init__(self) -> None:
        self.guest, self.kernel = threading.Event(), threading.Event()
        self.asked, self.over = threading.Event(), threading.Event()
        self.committed: bool | None = None

    def __call__(self) -> str:
        self.guest.wait(10)
        self.committed = commit()
        self.asked.set()
        self.kernel.wait(10)
        self.over.set()
        return "done"


def test_work_that_was_given_up_changes_nothing_when_it_is_answered() -> None:
    work = Work()
    with pytest.raises(TimeoutError) as raised:
        asyncio.run(bounded(work, 0.01))
    assert raised.value.errno == errno.ETIMEDOUT
    work.kernel.set()
    work.guest.set()
    assert work.over.wait(10) and work.committed is False


def test_work_that_has_begun_is_waited_for() -> None:
    work = Work()

    async def scene() -> str:
        asked = asyncio.ensure_future(bounded(work, patient(0.5)))
        work.guest.set()
        await asyncio.to_thread(work.asked.wait, 10)
        await asyncio.sleep(patient(0.6))
        assert not asked.done()
        work.kernel.set()
        return await asked

    assert asyncio.run(scene()) == "done" and work.committed is True


@pytest.mark.parametrize("begun", [False, True])
def test_a_cancelled_caller_waits_only_for_what_has_begun(begun: bool) -> None:
    work = Work()

    async def scene() -> None:
        asked = asyncio.ensure_future(bounded(work))
        await asyncio.sleep(0)
        if begun:
            work.guest.set()
            await asyncio.to_thread(work.asked.wait, 10)
        asked.cancel()
        await asyncio.wait((asked,), timeout=0.05)
        assert asked.done() is not begun
        work.kernel.set()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert work.over.is_set() is begun

    asyncio.run(scene())
    work.guest.set()
    assert work.over.wait(10) and work.committed is begun


def test_without_a_limit_everything_is_waited_for() -> None:
    """Also after bounded work of the same task."""

    async def scene() -> bool:
        await bounded(lambda: None)
        return commit()

    assert asyncio.run(scene()) and commit()


def test_what_fails_after_all_says_why() -> None:
    def work() -> None:
        raise OSError(errno.EBUSY, "busy")

    with pytest.raises(OSError, match="busy"):
        asyncio.run(bounded(work))
