"""stop: orderly first, then by force; and what happens when PID 1 ends by itself."""

import asyncio
import signal
import time
from contextlib import suppress

from hostd.container import faults, host_side, init_side, scripts
from hostd.container.container import Container
from hostd.container.init_link import ChannelLost
from hostd.container.ops import start
from hostd.container.report import Report
from hostd.container.run import Run
from hostd.container.steps import undo
from hostd.errors import Exit, Failure
from hostd.log import detail, timed

KILL_GRACE = 10.0  # seconds for the kernel to tear down killed processes


async def stop(
    ct: Container, patience: float, report: Report, *, fast: bool = False, keep_mounted: bool = False
) -> None:
    """Stop a running container and release all it had; it has *patience* seconds to shut down.

    Raises Failure(79) when CTID.stop fails, and the container runs on; or when a script of the host fails, then it
    is down all the same.
    """
    assert ct.record is not None
    began = time.monotonic_ns()
    report("Stopping container ...")
    script = None if fast or ct.record.setup else scripts.inner(ct.world.paths, ct.ctid, "stop")
    if script is not None and ct.link is not None:
        await scripts.run_inside(ct, script, report)
    ct.record.intent = "stop"
    ct.record.try_save(ct.world.paths)
    faults.point("stop.intent")
    if not fast:
        with timed("stop: ask"):
            await _ask(ct, patience, report)
        faults.point("stop.asked")
    if ct.running:
        if not fast:
            report("Killing container ...")
        with timed("stop: kill"):
            await _kill(ct, report)
    faults.point("stop.ended")
    report("Container was stopped")
    failures = await leave(ct, report, keep_mounted=keep_mounted)
    faults.point("stop.end")
    detail(f"stop: {(time.monotonic_ns() - began) / 1e6:.1f} ms")
    if failures:
        raise failures[0]


async def end_restart(ct: Container) -> None:
    """Kill what hostd starts again, until it gives up: what that start waits for, as a script inside, may never end."""
    while ct.own == "reboot":
        if ct.process is not None:
            with suppress(ProcessLookupError):
                ct.process.signal(signal.SIGKILL)
        await asyncio.sleep(0.1)


async def leave(ct: Container, report: Report, *, keep_mounted: bool = False) -> list[Failure]:
    """Release everything of a container whose PID 1 has ended; with *keep_mounted* all but the storage, if that is
    still there.

    Returns the action scripts that failed.
    """
    if keep_mounted and ct.record is not None:
        try:
            await undo(start.RUN_RELEASE, Run(ct, ct.record, report))
        finally:
            mounted = ct.record.of_what_is_mounted()
            mounted.try_save(ct.world.paths)
            ct.buried()
            ct.record = mounted
        return []
    failures = await start.release(ct, report)
    report("Container is unmounted")
    return failures


async def _ask(ct: Container, timeout: float, report: Report) -> None:
    """Ask vzinit for an orderly halt and give it *timeout* seconds.

    What was asked cannot be taken back: when cancelled only the waiting ends, and another stop may come at once.
    """
    if ct.link is None or ct.record is None:
        return
    try:
        ct.link.tell("stop", how="halt", timeout=int(timeout))
        async with asyncio.timeout(timeout + 5):
            await ct.dead()
    except (ChannelLost, TimeoutError):
        return
    except asyncio.CancelledError:
        ct.record.intent = ""
        ct.record.try_save(ct.world.paths)
        report("The container goes on shutting down by itself")
        raise


async def _kill(ct: Container, report: Report) -> None:
    assert ct.record is not None
    this = Run(ct, ct.record, report)
    await asyncio.gather(init_side.kill_processes(this), host_side.flush_storage(this))
    try:
        async with asyncio.timeout(KILL_GRACE):
            await ct.dead()
    except TimeoutError:
        raise Failure(Exit.STOP_ERROR, "Unable to stop container: operation timed out") from None
