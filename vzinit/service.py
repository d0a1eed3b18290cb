"""One service: started, watched, restarted, stopped by its plan."""

import posix
import time

from vzinit import child, fds, reaper, supervise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vzinit.loop import Loop, Timer
    from vzinit.plan import Command, ServicePlan

SIGKILL, SIGCONT = 9, 18
PID_FILE_WAIT = 5.0  # seconds that a daemon may take to write its PID file after its parent has ended
POLL = 0.05
KILL_WAIT = 2.0  # seconds that a killed process gets to vanish before it is given up

WAITING, STARTING, ACTIVE, DONE, FAILED, STOPPING, STOPPED = range(7)


class Surroundings:
    """What all services share: where they write, and how they report."""

    __slots__ = ("log", "notify_path", "output", "silence")

    def __init__(self, log: "Callable[[str], None]", notify_path: "Callable[[], str]", output: int) -> None:
        self.log = log
        self.notify_path = notify_path
        self.output = output
        self.silence = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)


class Process:
    """A process that is ours by adoption: the daemon behind a PID file, or the one named by MAINPID=."""

    __slots__ = ("on_end", "pid")

    def __init__(self, pid: int, on_end: "Callable[[int, int], None]") -> None:
        self.pid = pid
        self.on_end = on_end

    def ended(self, status: int) -> None:
        if posix.WIFSIGNALED(status):
            self.on_end(0, posix.WTERMSIG(status))
        else:
            self.on_end(posix.WEXITSTATUS(status), 0)


class Service:
    """`on_change()` is called after every change of `state`."""

    def __init__(
        self, loop: "Loop", plan: "ServicePlan", around: Surroundings, on_change: "Callable[[], None]"
    ) -> None:
        self._loop = loop
        self._around = around
        self._on_change = on_change
        self._todo: list[Command] = []
        self._control = 0  # pid of the command that is being waited for
        self._timer: Timer | None = None
        self._starts: list[float] = []
        self.plan = plan
        self.state = WAITING
        self.main = 0  # pid

    @property
    def is_settled(self) -> bool:
        """Started or given up: what comes after it need not wait any longer."""
        return self.state not in (WAITING, STARTING)

    # Start.

    def start(self) -> None:
        self._starts.append(time.monotonic())
        self._todo = [*self.plan.pre, *self.plan.start]
        self._due(self.plan.start_timeout, self._start_timeout)
        self.state = STARTING
        self._next()

    def _next(self) -> None:
        """Run the next command of the start; the last one of a daemon that stays is its main process."""
        if not self._todo:
            self._commands_done()
            return
        command = self._todo.pop(0)
        stays = not self._todo and self.plan.kind in ("simple", "notify")
        try:
            self._launch(command, stays)
        except OSError as error:
            self._fail(f"cannot start: {error.strerror}")

    def _launch(self, command: "Command", stays: bool) -> None:
        """Fork *command*, as the main process if it *stays*, else to be waited for."""
        environment = self._environment()
        output = self._around.output
        program = child.Program(command.argv, environment, [self._around.silence, output, output], uid=-1)
        program.setup = lambda: prepare_service(program, self.plan, command)

        def begun(number: int, text: str) -> None:
            if number:
                self._around.log(f"{self.plan.name}: {text}")
            elif stays and self.plan.kind == "simple" and self.main == pid:
                self._settle(ACTIVE)

        def ended(code: int, signal: int) -> None:
            if stays:
                self._main_ended(pid, code, signal)
            elif self._control == pid:
                self._control = 0
                self._command_ended(command, code, signal)

        process = reaper.adopt(child.start(self._loop, program, begun, ended))
        pid = process.pid
        if stays:
            self.main = pid
        else:
            self._control = pid

    def _environment(self) -> dict[str, str]:
        environment = {"PATH": child.PATH, "LANG": "C.UTF-8", "INVOCATION_ID": posix.urandom(16).hex()}
        if self.plan.kind == "notify":
            environment["NOTIFY_SOCKET"] = self._around.notify_path()
        if self.main:
            environment["MAINPID"] = str(self.main)
        return environment

    def _command_ended(self, command: "Command", code: int, signal: int) -> None:
        if self.state == STOPPING:
            self._stop_next()
        elif (code or signal) and "-" not in command.flags:
            self._fail(f"{command.argv[0]} {how_it_ended(code, signal)}")
        else:
            self._next()

    def _commands_done(self) -> None:
        if self.plan.kind == "forking" and self.plan.pid_file:
            self._await_pid_file(time.monotonic() + PID_FILE_WAIT)
        else:
            self._settle(ACTIVE if self.plan.kind == "forking" else DONE)

    def _await_pid_file(self, until: float) -> None:
        if self.state != STARTING:
            return
        text = fds.read_text(self.plan.pid_file).strip()
        if text.isdigit() and is_alive(int(text)):
            self.adopt_main(int(text))
            self._settle(ACTIVE)
        elif time.monotonic() < until:
            self._loop.after(POLL, lambda: self._await_pid_file(until))
        else:
            self._fail(f"no process in {self.plan.pid_file}")

    def adopt_main(self, pid: int) -> None:
        """From now on *pid* is the main process: its end is the service's."""
        if pid != self.main:
            self.main = pid
            reaper.adopt(Process(pid, lambda code, signal: self._main_ended(pid, code, signal)))

    def owns(self, pid: int) -> bool:
        """True for the main process and what shares its session."""
        try:
            return bool(self.main) and (pid == self.main or posix.getsid(pid) == self.main)
        except OSError:
            return False

    def ready(self) -> None:
        """READY=1 arrived."""
        if self.state == STARTING and self.plan.kind == "notify":
            self._settle(ACTIVE)

    def _start_timeout(self) -> None:
        self._around.log(f"{self.plan.name}: not started after {self.plan.start_timeout:g} s")
        self._kill(SIGKILL)
        if not self.main and not self._control:
            self._fail("start timed out")

    # What ends by itself.

    def _main_ended(self, pid: int, code: int, signal: int) -> None:
        if pid != self.main:
            return
        self.main = 0
        if self.state == STOPPING:
            self._stop_next()
        elif code or signal:
            self._fail(how_it_ended(code, signal), code, signal)
        elif not self._restarts(0, 0):
            self._settle(DONE if self.state == ACTIVE else FAILED)

    def _fail(self, why: str, code: int = 1, signal: int = 0) -> None:
        self._around.log(f"{self.plan.name}: {why}")
        if not self._restarts(code, signal):
            self._settle(FAILED)

    def _restarts(self, code: int, signal: int) -> bool:
        """True when the service will be started again."""
        if self.state == STOPPING or not supervise.wants_restart(self.plan, code, signal):
            return False
        delay = self.plan.restart_delay
        if not supervise.within_limit(self.plan, self._starts, time.monotonic()):
            self._around.log(f"{self.plan.name}: started too often")
            delay = self.plan.rest
            if not delay:
                return False
        self._settle(FAILED)
        self._due(delay, self.start)
        return True

    def _settle(self, state: int) -> None:
        self.state = state
        self._due(0, None)
        self._on_change()

    def _due(self, seconds: float, call: "Callable[[], None] | None") -> None:
        """One timer per service: the newest one counts."""
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.after(seconds, call) if call else None

    # Stop.

    def stop(self) -> None:
        """Run the stop commands, then end the main process: by signal, at last by force."""
        was_up = self.state in (ACTIVE, DONE)
        self.state = STOPPING
        self._todo = list(self.plan.stop) if was_up else []
        if self._control:
            self._kill(self.plan.kill_signal)
        self._due(self.plan.stop_timeout, self._stop_by_force)
        if not self._control:
            self._stop_next()

    def _stop_next(self) -> None:
        if self._control:
            return
        if self._todo:
            try:
                self._launch(self._todo.pop(0), False)
                return
            except OSError as error:
                self._around.log(f"{self.plan.name}: cannot stop: {error.strerror}")
                self._todo = []
        if self.main and self.plan.kill_mode != "none":
            self._kill(self.plan.kill_signal)
            self._kill(SIGCONT)
        else:
            self._settle(STOPPED)

    def _stop_by_force(self) -> None:
        self._around.log(f"{self.plan.name}: not stopped after {self.plan.stop_timeout:g} s, killed")
        self._todo = []
        self._kill(SIGKILL)
        self._due(KILL_WAIT, lambda: self._settle(STOPPED))

    def _kill(self, number: int) -> None:
        """Signal the command that is waited for, else the main process; its group too, as KillMode says."""
        target = self._control or self.main
        if not target:
            return
        try:
            if self.plan.kill_mode == "process" or (self.plan.kill_mode == "mixed" and number != SIGKILL):
                posix.kill(target, number)
            elif posix.getpgid(target) == target:
                posix.killpg(target, number)
            else:
                posix.kill(target, number)
        except OSError:
            pass


def prepare_service(program: child.Program, plan: "ServicePlan", command: "Command") -> None:
    """In the forked child: its imports cost PID 1 nothing."""
    from vzinit import prepare

    prepare.service(program, plan, command)


def is_alive(pid: int) -> bool:
    try:
        posix.kill(pid, 0)
        return True
    except OSError:
        return False


def how_it_ended(code: int, signal: int) -> str:
    return f"was ended by signal {signal}" if signal else f"ended with exit code {code}"
