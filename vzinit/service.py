"""One service: started, watched, restarted, reloaded, stopped by its plan."""

import time

from vzinit import cgroup, fds, reaper, supervise
from vzinit.processes import SIGKILL, Processes, Surroundings, how_it_ended

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vzinit.loop import Loop, Timer
    from vzinit.plan import Command, ServicePlan

SIGCONT = 18
PID_FILE_WAIT = 5.0  # seconds that a daemon may take to write its PID file after its parent has ended
POLL = 0.05
KILL_WAIT = 2.0  # seconds that a killed process gets to vanish before it is given up

WAITING, STARTING, ACTIVE, DONE, FAILED, STOPPING, STOPPED = range(7)
UP = (ACTIVE, DONE)
OVER = (FAILED, STOPPED)


class Service:
    """`on_change()` is called after every change of `state`."""

    def __init__(
        self,
        loop: "Loop",
        plan: "ServicePlan",
        around: Surroundings,
        on_change: "Callable[[], None]",
        state: int = WAITING,
    ) -> None:
        self._loop = loop
        self._around = around
        self._on_change = on_change
        self._timer: Timer | None = None
        self._starts: list[float] = []
        self._was_up = False  # since it was started
        self._ending = False  # what is left of it has been told to go
        self._had_main = False  # when it was
        self.processes = Processes(loop, plan, around, self._main_ended)
        self.plan = plan
        self.state = state
        self.asked = False  # somebody wanted it down
        self.result = "success"  # how it ended, in systemd's words
        self.code = self.signal = 0  # how the main process ended
        self.status = ""  # what it says of itself
        self.since = self.up_since = self.down_since = self.main_since = 0  # us of CLOCK_REALTIME
        self.count = 0  # of restarts by itself

    @property
    def is_settled(self) -> bool:
        """Started or given up: what comes after it need not wait any longer.

        A start that has failed, or a oneshot, is over once nothing is left of it.
        """
        return self.state not in (WAITING, STARTING) and (self.state != STOPPING or self._was_up)

    @property
    def start_failed(self) -> bool:
        """It was never up, and that is not what somebody wanted."""
        return self.state in OVER and self.result != "success" and not (self._was_up or self.asked)

    @property
    def restarts(self) -> bool:
        """It has ended, and is to be started again in a moment."""
        return self.state == FAILED and self._timer is not None

    def replan(self, plan: "ServicePlan") -> None:
        """From now on by *plan*: what runs is not touched."""
        self.plan = self.processes.plan = plan

    # Start.

    def await_turn(self) -> None:
        """To be started, when what comes before it has settled."""
        self._due(0, None)
        self.count = 0
        self._was_up = self.asked = False
        self._enter(WAITING)

    def give_up(self) -> None:
        """What it requires has failed."""
        self.result = "dependency"
        self._settle(STOPPED)

    def start(self) -> None:
        self._starts.append(time.monotonic())
        self._was_up = self.asked = False
        self.result, self.code, self.signal = "success", 0, 0
        self.processes.result = self.status = ""
        self._due(self.plan.start_timeout, self._start_timeout)
        self._enter(STARTING)
        self.main_since = self.since
        stays = self.plan.kind in ("simple", "notify")
        self.processes.run([*self.plan.pre, *self.plan.start], self._started, self._failed, stays)

    def _started(self) -> None:
        """Every command of the start has ended, or the main process runs."""
        if self.plan.kind == "forking" and self.plan.pid_file:
            self._await_pid_file(time.monotonic() + PID_FILE_WAIT)
        elif self.plan.kind == "forking":
            self.processes.guess()
            self._post()
        elif self.plan.kind != "notify":
            self._post()

    def _post(self) -> None:
        """What comes after the start, before the service is up."""
        self.processes.run(self.plan.post, self._up, self._failed)

    def _up(self) -> None:
        if self.plan.kind != "oneshot":
            self._settle(ACTIVE)
            self._watch_group()
        elif self.plan.remain:
            self._settle(DONE)
        else:
            self._stop_with(self.plan.stop)

    def _await_pid_file(self, until: float) -> None:
        if self.state != STARTING:
            return
        if self._follow_pid_file():
            self._post()
        elif time.monotonic() < until:
            self._loop.after(POLL, lambda: self._await_pid_file(until))
        else:
            self._around.log(self.plan.name, f"no process in {self.plan.pid_file}")
            self._failed("protocol")

    def _follow_pid_file(self) -> bool:
        """The living process that is named there is the main process from now on."""
        text = fds.read_text(self.plan.pid_file).strip() if self.plan.pid_file else ""
        if not (text.isdigit() and self.processes.may_adopt(int(text))):
            return False
        self.processes.adopt(int(text))
        return True

    def ready(self) -> None:
        """READY=1 arrived."""
        if self.state == STARTING and self.plan.kind == "notify" and self.processes.main:
            self._post()

    def _start_timeout(self) -> None:
        self._around.log(self.plan.name, f"not started after {self.plan.start_timeout:g} s")
        self._failed("timeout")

    # What ends by itself.

    def _watch_group(self) -> None:
        """Without a main process (a daemon of several, and no PID file) it has ended when its group is empty."""
        if self.state == ACTIVE and not self.processes.main and self.processes.group:
            reaper.watchers.append(self._look_at_group)
            self._look_at_group()

    def _look_at_group(self) -> None:
        if self.state == ACTIVE and not self.processes.main and cgroup.pids(self.processes.group):
            return
        reaper.watchers.remove(self._look_at_group)
        if self.state == ACTIVE and not self.processes.main:
            self._main_ended(0, 0)

    def _main_ended(self, code: int, signal: int) -> None:
        if self.state == ACTIVE and self._follow_pid_file():
            return  # a daemon that was upgraded while it runs has left its place to another process
        self.code, self.signal = code, signal
        clean = supervise.is_clean(self.plan, code, signal)
        if self.state == STOPPING:
            self._await_gone()
        elif not clean:
            self._around.log(self.plan.name, how_it_ended(code, signal))
            self._failed("signal" if signal else "exit-code", code, signal)
        elif self.state == STARTING and self.plan.kind == "notify":
            self._around.log(self.plan.name, "it ended before it was ready")
            self._failed("protocol")
        elif self.plan.remain:
            self._settle(DONE)
        else:
            self._stop_with(self.plan.stop)

    def _failed(self, result: str, code: int = 0, signal: int = 0) -> None:
        """It has failed: end what is left of it, then perhaps start it again."""
        self.result, self.code, self.signal = result, code or self.code, signal or self.signal
        self._stop_with([])

    def _restart(self) -> bool:
        """True when the service will be started again."""
        if not supervise.wants_restart(self.plan, self.result, self.code, self.signal):
            return False
        delay = self.plan.restart_delay
        if not supervise.within_limit(self.plan, self._starts, time.monotonic()):
            self._around.log(self.plan.name, "started too often")
            self.result, delay = "start-limit-hit", self.plan.rest
            if not delay:
                return False
        self._enter(FAILED)
        self.count += 1
        self._due(delay, self.start)
        self._on_change()
        return True

    def _enter(self, state: int) -> None:
        self.state = state
        self.since = time.time_ns() // 1000
        if state in UP:
            self._was_up = True
            self.up_since = self.since
        elif state in OVER:
            self.down_since = self.since

    def _settle(self, state: int) -> None:
        self._due(0, None)
        if state in UP or (state == STOPPED and self.state == STOPPING):
            self._around.note(self.plan.name, f"{'Started' if state in UP else 'Stopped'} {self.plan.name}.")
        self._enter(state)
        self._on_change()

    def _due(self, seconds: float, call: "Callable[[], None] | None") -> None:
        """One timer per service: the newest one counts."""
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.after(seconds, call) if call else None

    # Reload and stop.

    def reload(self, done: "Callable[[bool], None]") -> None:
        """Run the commands of the reload; `done(worked)`."""
        from vzinit import reloading

        reloading.run(self._loop, self.processes, done)

    def stop(self) -> None:
        """Somebody wants it down."""
        self.asked = True
        if self.state == WAITING or self.restarts:
            self._settle(STOPPED)
        else:
            self._stop_with(self.plan.stop if self.state in UP else [])

    def forgive(self) -> None:
        """Nobody needs to know any longer that it failed."""
        self._starts.clear()
        if self.state == FAILED and not self.restarts:
            self.result = "success"
            self._settle(STOPPED)

    def _stop_with(self, commands: "list[Command]") -> None:
        """Run *commands*, then end what is left: by signal, at last by force."""
        self._enter(STOPPING)
        self._ending = False
        self._due(self.plan.stop_timeout, self._stop_by_force)
        if self.processes.control:  # of the start, or of an earlier way down
            self.processes.signal(self.plan.kill_signal)
        self.processes.result = self.result
        self.processes.run(commands, self._end_processes)

    def _end_processes(self) -> None:
        self._ending = True
        self._had_main = bool(self.processes.main)
        if self.processes.left():
            self.processes.signal(self.plan.kill_signal)
            self.processes.signal(SIGCONT)
        self._await_gone()

    def _await_gone(self) -> None:
        """Until nobody is left; with KillMode=mixed the others die as soon as the main process has ended."""
        if self.state != STOPPING or not self._ending:
            return
        if not self.processes.left():
            self._ending = False
            self.processes.run(self.plan.stop_post, self._stopped)
            return
        if self.plan.kill_mode == "mixed" and self._had_main and not self.processes.main:
            self.processes.signal(SIGKILL)
        self._loop.after(POLL, self._await_gone)

    def _stop_by_force(self) -> None:
        self._around.log(self.plan.name, f"not stopped after {self.plan.stop_timeout:g} s, killed")
        self.result = "timeout"
        self.processes.signal(SIGKILL)
        self.processes.run([], self._end_processes)
        self._due(KILL_WAIT, self._stopped)

    def _stopped(self) -> None:
        self._ending = False
        self.processes.forget()
        if self.asked or not self._restart():
            self._settle(STOPPED if self.asked or self.result == "success" else FAILED)
