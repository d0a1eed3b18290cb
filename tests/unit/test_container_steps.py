"""Steps: all or nothing, in order, and every point named."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from hostd.container import faults, steps
from hostd.container.steps import Step


@dataclass
class Journal:
    done: list[str] = field(default_factory=list)


def step(name: str, *, fails: bool = False, undo_fails: bool = False) -> Step[Journal]:
    async def do(journal: Journal) -> None:
        journal.done.append(f"do {name}")
        if fails:
            raise OSError(28, "No space left on device", name)

    async def undo(journal: Journal) -> None:
        journal.done.append(f"undo {name}")
        if undo_fails:
            raise RuntimeError("cannot undo")

    return Step(name, do, undo)


def test_all_steps_in_order() -> None:
    journal = Journal()
    asyncio.run(steps.run("op", [step("a"), step("b")], journal))
    assert journal.done == ["do a", "do b"]


def test_a_failing_step_is_undone_with_those_before_it_and_names_itself() -> None:
    journal = Journal()
    with pytest.raises(OSError, match="No space left") as caught:
        asyncio.run(steps.run("op", [step("a"), step("b", fails=True), step("c")], journal))
    assert journal.done == ["do a", "do b", "undo b", "undo a"]
    assert caught.value.__notes__ == ["op: b"]


def test_an_undo_that_fails_does_not_stop_the_others() -> None:
    journal = Journal()
    with pytest.raises(OSError, match="No space"):
        asyncio.run(steps.run("op", [step("a"), step("b", undo_fails=True), step("c", fails=True)], journal))
    assert journal.done[-3:] == ["undo c", "undo b", "undo a"]


def cancel_in_the_middle(work: Callable[[Journal, asyncio.Event, asyncio.Event], Awaitable[None]]) -> Journal:
    """Cancel *work* where it waits for its second event, which then comes; asyncio.CancelledError when it says so."""
    journal = Journal()

    async def scene() -> None:
        reached, go_on = asyncio.Event(), asyncio.Event()
        task = asyncio.ensure_future(work(journal, reached, go_on))
        await reached.wait()
        for _ in range(3):  # who is cancelled may be so again
            task.cancel()
            await asyncio.sleep(0)
        go_on.set()
        try:
            await task
        except asyncio.CancelledError:
            journal.done.append("cancelled")

    asyncio.run(scene())
    return journal


@pytest.mark.parametrize("stops", [False, True])
def test_an_undo_goes_on_when_it_is_cancelled(stops: bool) -> None:
    """Only the step that can be stopped is; the one before it is undone all the same."""

    async def work(journal: Journal, reached: asyncio.Event, go_on: asyncio.Event) -> None:
        async def back(journal: Journal) -> None:
            reached.set()
            await go_on.wait()
            journal.done.append("undo slow")

        await steps.undo([step("a"), Step("slow", steps.nothing, back, stops=stops)], journal)

    expected = ["undo a", "cancelled"] if stops else ["undo slow", "undo a", "cancelled"]
    assert cancel_in_the_middle(work).done == expected


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_unstoppable_does_not_hear_of_a_cancel(fails: bool) -> None:
    async def work(journal: Journal, reached: asyncio.Event, go_on: asyncio.Event) -> None:
        async def slow() -> None:
            reached.set()
            await go_on.wait()
            if fails:
                raise OSError(28, "No space left on device")

        try:
            await steps.unstoppable(slow())
        except OSError:
            journal.done.append("failed")
        await asyncio.sleep(0)  # no cancel is left over
        journal.done.append("went on")

    assert cancel_in_the_middle(work).done == ["failed"] * fails + ["went on"]


def test_a_cancelled_step_is_let_finish_and_then_undone() -> None:
    journal = Journal()
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def slow(journal: Journal) -> None:
        reached.set()
        await go_on.wait()
        journal.done.append("do slow")

    async def undo_slow(journal: Journal) -> None:
        journal.done.append("undo slow")

    async def scenario() -> None:
        operation = [step("a"), Step("slow", slow, undo_slow), step("b")]
        task = asyncio.create_task(steps.run("op", operation, journal))
        await reached.wait()
        for _ in range(3):  # who is cancelled may be so again
            task.cancel()
            await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert journal.done == ["do a", "do slow", "undo slow", "undo a"]


def test_of_a_step_that_seals_there_is_no_way_back() -> None:
    async def work(journal: Journal, reached: asyncio.Event, go_on: asyncio.Event) -> None:
        async def slow(journal: Journal) -> None:
            reached.set()
            await go_on.wait()
            journal.done.append("do slow")

        await steps.run("op", [step("a"), Step("slow", slow, seals=True)], journal)
        await asyncio.sleep(0)  # no cancel is left over

    assert cancel_in_the_middle(work).done == ["do a", "do slow"]


def test_a_step_that_seals_and_fails_is_undone() -> None:
    journal = Journal()
    last = step("b", fails=True)
    with pytest.raises(OSError, match="No space left"):
        asyncio.run(steps.run("op", [step("a"), Step("b", last.do, last.undo, seals=True)], journal))
    assert journal.done == ["do a", "do b", "undo b", "undo a"]


def test_steps_together_are_all_done_before_a_failure_of_one_undoes_them() -> None:
    journal = Journal()
    reached = asyncio.Event()

    async def late(journal: Journal) -> None:
        await reached.wait()
        journal.done.append("do late")

    async def undo_late(journal: Journal) -> None:
        journal.done.append("undo late")

    async def failing(journal: Journal) -> None:
        reached.set()
        raise OSError(5, "Input/output error", "x")

    async def undo_failing(journal: Journal) -> None:
        journal.done.append("undo failing")

    both = steps.together("both", Step("late", late, undo_late), Step("failing", failing, undo_failing))
    with pytest.raises(OSError, match="Input/output"):
        asyncio.run(steps.run("op", [step("a"), both], journal))
    assert journal.done == ["do a", "do late", "undo failing", "undo late", "undo a"]


def test_steps_together_are_undone_together() -> None:
    """Each waits for the other: one after the other would never end."""

    async def back(journal: Journal) -> None:
        async with asyncio.timeout(5):
            await meeting.wait()
        journal.done.append("undone")

    async def meet() -> None:
        both = steps.together("both", Step("x", steps.nothing, back), Step("y", steps.nothing, back))
        await steps.undo([both], journal)

    journal, meeting = Journal(), asyncio.Barrier(2)
    asyncio.run(meet())
    assert journal.done == ["undone", "undone"]


def test_every_step_passes_a_fault_point(monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[str] = []
    monkeypatch.setattr(faults, "point", passed.append)
    asyncio.run(steps.run("op", [step("a"), step("b")], Journal()))
    assert passed == ["op.a", "op.b", "op.end"]
