"""The first boot: what waits for it beside the configuration, in `CTID.firstboot`, is done once by the next start.

The early part is a step of the start, and the late part goes on beside everything when the services are up.  The file
goes when all is done.  Should hostd be killed before, or the container stop, the script is run again by the next daemon
or the next start, and goes on where it was (`hostd.userdata.script`).
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from hostd.config import files
from hostd.config.paths import Paths
from hostd.container import faults, services
from hostd.container.container import Container
from hostd.container.ops import sessions
from hostd.container.report import Report
from hostd.errors import Exit, Failure, VzError
from hostd.log import about, log, printable
from hostd.userdata import plan as plans
from hostd.userdata import script
from hostd.userdata.plan import Plan

PATIENCE = 300.0  # seconds that a start waits for the early part, which may be a command of a tenant's
MOST, LONGEST = 20, 200  # of the failures that the guest tells of


# --- what waits -------------------------------------------------------------------------------------------------


def load(paths: Paths, ctid: int) -> Plan | None:
    """What the first boot of the container is still to do."""
    path = paths.ct_first_boot(ctid)
    try:
        with open(path, encoding="utf-8") as file:
            return plans.load(file.read())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.error("%s is left alone: %s", path, error)
        return None


def save(paths: Paths, ctid: int, plan: Plan) -> None:
    """OSError."""
    files.replace(paths.ct_first_boot(ctid), plan.dump(), mode=0o600)


def lay(paths: Paths, ctid: int, plan: Plan) -> None:
    """Let *plan* wait for the next start; of one that waits already only the keys stay.  OSError."""
    waiting = load(paths, ctid)
    save(paths, ctid, plan.with_keys(waiting.keys) if waiting else plan)


def _is_due(ct: Container, plan: Plan) -> bool:
    """No other was laid meanwhile."""
    waiting = load(ct.world.paths, ct.ctid)
    return waiting is not None and waiting.id == plan.id


def forget(paths: Paths, ctid: int) -> None:
    files.remove(paths.ct_first_boot(ctid))


# --- doing it ---------------------------------------------------------------------------------------------------


async def early(ct: Container, plan: Plan, report: Report) -> None:
    """Before the services.  No start fails because of it, or hangs: what fails or takes too long is told.

    `ct.first_boot` says so too, until `go_on` has a late part to do.
    """
    faults.point("firstboot.early")
    failures: list[str] | None = None
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                failures = await _carry_out(ct, plan, "early")
        save(ct.world.paths, ct.ctid, replace(plan, start=_this_start(ct), late_begun=False))
    except (OSError, VzError) as error:
        report(f"Warning: the first boot is not done: {error}; the next start tries again")
        ct.first_boot = _over([f"not done: {error}"])
        return
    if failures is None:
        report(f"Warning: the first boot takes longer than {PATIENCE:g} s; the services are started beside it")
        return
    for line in failures:
        report(f"Warning: first boot: {line}")
    ct.first_boot = _over(failures)
    if not plan.late:
        await _finish(ct, plan, failures)


def go_on(ct: Container) -> None:
    """The container is up: do in the background, `ct.first_boot`, what its start has begun.

    What was laid since then waits for the next start.
    """
    plan = load(ct.world.paths, ct.ctid)
    if plan is not None and plan.start == _this_start(ct):
        ct.first_boot = asyncio.ensure_future(_late(ct, plan))


def _over(failures: Sequence[str]) -> "asyncio.Future[Sequence[str]]":
    future: asyncio.Future[Sequence[str]] = asyncio.get_running_loop().create_future()
    future.set_result(failures)
    return future


def _this_start(ct: Container) -> int:
    assert ct.record is not None
    return ct.record.serial


async def _late(ct: Container, plan: Plan) -> Sequence[str]:
    """When the services are up; returns what failed in all of the first boot."""
    with about(ct.ctid):
        try:
            if not plan.late_begun:
                with suppress(Failure):  # then it is tried without them
                    await services.up(ct)
                if _is_due(ct, plan):
                    save(ct.world.paths, ct.ctid, replace(plan, late_begun=True))
            faults.point("firstboot.late")
            failures = await _carry_out(ct, plan, "late")
            faults.point("firstboot.end")
            await _finish(ct, plan, failures)
            return failures
        except (OSError, VzError) as error:
            log.warning("first boot: not finished: %s; it goes on at the next start", error)
            return [f"not finished: {error}"]


async def _finish(ct: Container, plan: Plan, failures: Sequence[str]) -> None:
    if _is_due(ct, plan):
        forget(ct.world.paths, ct.ctid)
    if failures:
        log.warning("first boot: %s; see %s inside", "; ".join(failures), script.LOG)
    else:
        log.info("first boot: done")
    with suppress(OSError, VzError):
        await sessions.quietly(ct, ["/bin/sh", "-c", script.forget(plan.id)])


async def _carry_out(ct: Container, plan: Plan, phase: str) -> list[str]:
    """Run the script of *phase*; returns the failures of the plan so far.  OSError, VzError when it was not run."""
    items = plan.before_services if phase == "early" else plan.late
    text = script.of(plan.id, phase, items)
    code, lines = await sessions.capture(ct, script.ARGV, text.encode("utf-8", "surrogateescape"), outlives=True)
    if code:
        reason = f"its script ended with code {code}" if ct.running else "the container went down"
        raise Failure(Exit.SYSTEM, reason)
    return [printable(line[:LONGEST]) for line in lines[:MOST]]


async def finished(ct: Container) -> None:
    """Wait for all of it.  Raises Failure(133) if something failed."""
    failures = await asyncio.shield(ct.first_boot) if ct.first_boot is not None else ()
    if failures:
        text = f"first boot: {'; '.join(failures)}"
        raise Failure(Exit.WAIT_FAILED, text, hint=f"see {script.LOG} inside")


def under_way(ct: Container) -> bool:
    return ct.first_boot is not None and not ct.first_boot.done()
