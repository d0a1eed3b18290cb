"""Asks a child what the image wants to run: unit files cost memory that PID 1 would never give back."""

import _signal  # type: ignore[import-not-found]
import posix

from vzinit import child, fds, plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vzinit.console import Console
    from vzinit.loop import Loop

TIMEOUT = 30.0  # seconds; reading a few unit files takes milliseconds
MAX_PLAN = 16 << 20  # bytes


def ask(loop: "Loop", console: "Console", then: "Callable[[plan.BootPlan], None]") -> None:
    """Call *then* with the plan, an empty one when none can be made."""
    reader, writer = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
    try:
        planner = child.fork(lambda: serve_plan(writer, console.slave))
    except OSError as error:
        console.log(f"vzinit: no services: {error.strerror}")
        fds.close(reader)
        then(plan.BootPlan())
        return
    finally:
        fds.close(writer)
    data = bytearray()
    patience = loop.after(TIMEOUT, lambda: posix.kill(planner, _signal.SIGKILL))

    def read(_events: int) -> None:
        part = posix.read(reader, 65536)
        data.extend(part)
        if part and len(data) < MAX_PLAN:
            return
        loop.unwatch(reader)
        fds.close(reader)
        patience.cancel()
        then(understood(bytes(data), console))

    loop.watch(reader, read)


def understood(data: bytes, console: "Console") -> plan.BootPlan:
    try:
        return plan.load(data)
    except (ValueError, EOFError, TypeError) as error:
        console.log(f"vzinit: no services: the plan could not be made ({error})")
        return plan.BootPlan()


def serve_plan(writer: int, output: int) -> None:
    """In a child: write the plan to *writer*, what goes wrong to *output*, and exit."""
    try:
        posix.set_blocking(writer, True)
        from vzinit import planner

        planner.serve(writer)
    except BaseException as error:
        fds.write_all(output, f"vzinit: planner: {error!r}\n".encode())
    finally:
        posix._exit(0)
