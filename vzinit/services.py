"""All services: planned in a child, started in order, stopped in reverse order."""

import _signal  # type: ignore[import-not-found]
import posix

from vzinit import child, fds, notify, plan, service
from vzinit.service import FAILED, STARTING, STOPPED, STOPPING, WAITING, Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vzinit.console import Console
    from vzinit.loop import Loop

PLAN_TIMEOUT = 30.0  # seconds; reading a few unit files takes milliseconds
MAX_PLAN = 16 << 20  # bytes


class Services:
    """`boot()` once, then `stop(then)` once.

    `on_running(failed)` is called when every service was started.
    """

    def __init__(self, loop: "Loop", console: "Console", on_running: "Callable[[list[str]], None]") -> None:
        self._loop = loop
        self._console = console
        self._on_running: Callable[[list[str]], None] | None = on_running
        self._then: Callable[[], None] | None = None
        self._services: dict[str, Service] = {}
        self._notify = notify.NotifySocket(loop, self._notified)
        self._around = service.Surroundings(console.log, self._notify.open, console.slave)
        self._plan = b""
        self._planner = 0

    # Plan.

    def boot(self) -> None:
        """Let a child find out what is to be run, then run it."""
        reader, writer = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        try:
            self._planner = fork_planner(writer, self._console.slave)
        except OSError as error:
            self._console.log(f"vzinit: no services: {error.strerror}")
            fds.close(reader)
            self._planned(plan.BootPlan())
            return
        finally:
            fds.close(writer)
        self._loop.watch(reader, lambda _events: self._read_plan(reader))
        self._patience = self._loop.after(PLAN_TIMEOUT, self._give_up)

    def _give_up(self) -> None:
        posix.kill(self._planner, _signal.SIGKILL)

    def _read_plan(self, reader: int) -> None:
        part = posix.read(reader, 65536)
        self._plan += part
        if part and len(self._plan) < MAX_PLAN:
            return
        self._loop.unwatch(reader)
        fds.close(reader)
        self._patience.cancel()
        data, self._plan = self._plan, b""
        try:
            found = plan.load(data)
        except (ValueError, EOFError, TypeError) as error:
            self._console.log(f"vzinit: no services: the plan could not be made ({error})")
            found = plan.BootPlan()
        self._planned(found)

    def _planned(self, found: plan.BootPlan) -> None:
        for note in found.notes:
            self._console.log(note)
        if found.prompt:
            self._console.set_prompt(found.prompt)
        if self._then:
            return  # stopped meanwhile
        for one in found.services:
            self._services[one.name] = Service(self._loop, one, self._around, self._changed)
        self._changed()

    # Run.

    def _changed(self) -> None:
        if self._then:
            self._stop_more()
        else:
            self._start_more()

    def _start_more(self) -> None:
        for one in list(self._services.values()):
            if one.state == WAITING and all(other.is_settled for other in self._before(one)):
                one.start()
        if self._on_running and all(one.is_settled for one in self._services.values()):
            report, self._on_running = self._on_running, None
            report([one.plan.name for one in self._services.values() if one.state == FAILED])

    def _before(self, one: Service) -> list[Service]:
        return [self._services[name] for name in one.plan.after if name in self._services]

    def _notified(self, pid: int, values: dict[str, str]) -> None:
        """A datagram of sd_notify."""
        for one in self._senders(pid):
            if one.owns(pid) and values.get("MAINPID", "").isdigit():
                one.adopt_main(int(values["MAINPID"]))
            if values.get("READY") == "1":
                one.ready()

    def _senders(self, pid: int) -> list[Service]:
        """The service that *pid* belongs to.

        A helper (`systemd-notify`) may be gone before its message is read: if just one service is awaited, it was its.
        """
        everything = list(self._services.values())
        owners = [one for one in everything if one.owns(pid)]
        if owners or service.is_alive(pid):
            return owners
        awaited = [one for one in everything if one.state == STARTING and one.plan.kind == "notify"]
        return awaited if len(awaited) == 1 else []

    # Stop.

    def stop(self, then: "Callable[[], None]") -> None:
        """Stop what runs, each service after those that were started after it; then call *then*."""
        self._then = then
        self._on_running = None
        self._stop_more()

    def _stop_more(self) -> None:
        everything = list(self._services.values())
        for one in everything:
            if one.state not in (STOPPING, STOPPED) and not any(
                later.state != STOPPED and one.plan.name in later.plan.after for later in everything
            ):
                one.stop()
        if self._then and all(one.state == STOPPED for one in everything):
            then, self._services = self._then, {}
            then()


def fork_planner(writer: int, output: int) -> int:
    """A child that writes the plan to *writer*, what goes wrong to *output*, and exits.

    Raises OSError when there is no process to be had.
    """
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
    try:
        pid = posix.fork()
        if not pid:
            serve_plan(writer, output)
        return pid
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)


def serve_plan(writer: int, output: int) -> None:
    """In the child; never returns."""
    try:
        child.clean_signals()
        posix.set_blocking(writer, True)
        from vzinit import planner

        planner.serve(writer)
    except BaseException as error:
        fds.write_all(output, f"vzinit: planner: {error!r}\n".encode())
    finally:
        posix._exit(0)
