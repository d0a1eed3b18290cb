"""The processes of one service: its commands one after the other, its main process, all of them when it has to end."""

import posix

from vzinit import cgroup, child, fds, reaper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vzinit.console import Console
    from vzinit.logs import Logs
    from vzinit.loop import Loop
    from vzinit.plan import Command, ServicePlan

SIGKILL = 9


class Surroundings:
    """What all services share: where they write, and how they report."""

    __slots__ = ("_console", "grouped", "logs", "notify_path", "output", "silence")

    def __init__(self, console: "Console", notify_path: "Callable[[], str]", logs: "Logs | None") -> None:
        self._console = console
        self.logs = logs  # None: they write to the console
        self.notify_path = notify_path
        self.output = console.slave
        self.silence = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
        self.grouped = cgroup.available()


    def log(self, unit: str, text: str) -> None:
        """PID 1 has to say something about *unit*."""
        self._console.log(f"{unit}: {text}")
        if self.logs:
            self.logs.about(unit, f"{unit}: {text}")


    def note(self, unit: str, text: str) -> None:
        """For the log of *unit* alone."""
        if self.logs:
            self.logs.about(unit, text, 6)


class Adopted:
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


class Processes:
    """`on_main_end(code, signal)` hears of the end of the main process."""

    def __init__(
        self, loop: "Loop", plan: "ServicePlan", around: Surroundings, on_main_end: "Callable[[int, int], None]"
    ) -> None:
        self._loop = loop
        self._around = around
        self._on_main_end = on_main_end
        self._todo: list[Command] = []
        self._stays = False  # the last command is the main process
        self._then: Callable[[], None] = lambda: None
        self._failed: Callable[[str, int, int], None] | None = None
        self.plan = plan
        self.main = 0  # pid
        self.control = 0  # pid of the command that is being waited for
        self.result = ""  # for what is run at a stop: how the service ended

    @property
    def group(self) -> str:
        """The path of its cgroup; "" where it has none."""
        return f"{cgroup.SLICE}/{self.plan.name}" if self.plan.grouped and self._around.grouped else ""

    # Commands.

    def run(
        self,
        commands: "list[Command]",
        then: "Callable[[], None]",
        failed: "Callable[[str, int, int], None] | None" = None,
        stays: bool = False,
    ) -> None:
        """Run *commands* after each other, then call *then*; this takes the place of what was to be run.

        With *stays* the last one becomes the main process, and *then* is called once it has been executed.
        `failed(result, code, signal)` is called instead when one fails (result in systemd's words); without it no
        failure counts.
        """
        self._todo, self._then, self._failed, self._stays = list(commands), then, failed, stays
        if not self.control:
            self._next()

    def _next(self) -> None:
        if not self._todo:
            self._then()
            return
        command = self._todo.pop(0)
        try:
            self._launch(command, self._stays and not self._todo)
        except OSError as error:
            self._around.log(self.plan.name, f"cannot run {command.argv[0]}: {error.strerror}")
            self._command_failed("resources", 0, 0)

    def _command_failed(self, result: str, code: int, signal: int) -> None:
        if self._failed:
            self._failed(result, code, signal)
        else:
            self._next()

    def _launch(self, command: "Command", stays: bool) -> None:
        """Fork *command*, as the main process if it *stays*, else to be waited for."""

        def begun(number: int, text: str) -> None:
            if number:
                self._around.log(self.plan.name, text)
            elif self._stays and stays and self.main == pid:  # what said READY=1 has gone on already
                self._stays = False
                self._next()

        def ended(code: int, signal: int) -> None:
            if stays:
                self._ended(pid, code, signal)
            elif self.control == pid:
                self.control = 0
                self._command_ended(command, code, signal)

        pid = self.start(command, begun, ended)
        if stays:
            self.main = pid
        else:
            self.control = pid

    def _command_ended(self, command: "Command", code: int, signal: int) -> None:
        if (code or signal) and "-" not in command.flags:
            self._around.log(self.plan.name, f"{command.argv[0]} {how_it_ended(code, signal)}")
            self._command_failed("signal" if signal else "exit-code", code, signal)
        else:
            self._next()

    def start(
        self,
        command: "Command",
        begun: "Callable[[int, str], None] | None",
        ended: "Callable[[int, int], None]",
    ) -> int:
        """Fork *command* as one of the service; its pid.  Raises OSError."""
        if not self._around.logs or not self.plan.grouped:
            program = self._program(command, self._around.output)
            return reaper.adopt(child.start(self._loop, program, begun, ended)).pid
        stream = self._around.logs.stream(self.plan.name, command.argv[0].rpartition("/")[2])
        try:
            program = self._program(command, stream.writer)
            stream.pid = reaper.adopt(child.start(self._loop, program, begun, ended)).pid
            return stream.pid
        finally:
            fds.close(stream.writer)

    def _program(self, command: "Command", output: int) -> child.Program:
        program = child.Program(command.argv, self._environment(), [self._around.silence, output, output], uid=-1)
        program.setup = lambda: prepare_service(program, self.plan, command, self.group)
        return program

    def _environment(self) -> dict[str, str]:
        environment = {"PATH": child.PATH, "LANG": "C.UTF-8", "INVOCATION_ID": posix.urandom(16).hex()}
        if self.plan.kind == "notify":
            environment["NOTIFY_SOCKET"] = self._around.notify_path()
        if self.main:
            environment["MAINPID"] = str(self.main)
        if self.result:
            environment["SERVICE_RESULT"] = self.result
        return environment

    # The main process.

    def may_adopt(self, pid: int) -> bool:
        """*pid*, which a service names, lives and is its own: not PID 1, and not what another service stands for."""
        if pid <= 1 or (pid in reaper.children and pid != self.main) or not is_alive(pid):
            return False
        return not self.group or cgroup.unit_of(pid) == self.plan.name

    def adopt(self, pid: int) -> None:
        """From now on *pid* is the main process: its end is the service's."""
        if pid != self.main:
            self.main = pid
            reaper.adopt(Adopted(pid, lambda code, signal: self._ended(pid, code, signal)))

    def guess(self) -> None:
        """Without a PID file: the only process that is left is the daemon."""
        left = [pid for pid in cgroup.pids(self.group) if parent_of(pid) == 1] if self.group else []
        if len(left) == 1 and self.may_adopt(left[0]):
            self.adopt(left[0])

    def _ended(self, pid: int, code: int, signal: int) -> None:
        if pid == self.main:
            self.main = 0
            self._on_main_end(code, signal)

    # All of them.

    def owns(self, pid: int) -> bool:
        """True for the main process, what shares its session, and what is in the group."""
        if self.group and cgroup.unit_of(pid) == self.plan.name:
            return True
        try:
            return bool(self.main) and (pid == self.main or posix.getsid(pid) == self.main)
        except OSError:
            return False

    def left(self) -> bool:
        """Somebody is still there whom a stop has to end, by KillMode=."""
        if self.plan.kill_mode == "none":
            return False
        if self.group and self.plan.kill_mode != "process":
            return cgroup.populated(self.group)
        return bool(self.main or self.control)

    def signal(self, number: int) -> None:
        """To whom KillMode= says; SIGKILL to everybody but with KillMode=process."""
        mixed = self.plan.kill_mode == "mixed" and (number == SIGKILL or not (self.main or self.control))
        everybody = self.plan.kill_mode == "control-group" or mixed
        if self.group and everybody:
            cgroup.signal(self.group, number)
            return
        for pid in (self.control, self.main):
            if pid:
                kill(pid, number, everybody)

    def kill(self, whom: str, number: int) -> bool:
        """By hand: `main`, `control` or `all`.  False when there is nobody of that kind."""
        if whom == "all" and self.group:
            there = cgroup.populated(self.group)
            cgroup.signal(self.group, number)
            return there
        chosen = {"main": [self.main], "control": [self.control]}.get(whom, [self.main, self.control])
        for pid in chosen:
            if pid:
                kill(pid, number, whom == "all")
        return any(chosen)

    def forget(self) -> None:
        """None is left, or cannot be ended."""
        self.main = self.control = 0
        if self.group:
            cgroup.remove(self.group)


def is_alive(pid: int) -> bool:
    try:
        posix.kill(pid, 0)
        return True
    except OSError:
        return False


def parent_of(pid: int) -> int:
    """0 when it has ended."""
    fields = fds.read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def kill(pid: int, number: int, with_its_group: bool = False) -> None:
    """Signal *pid*, or the process group that it leads."""
    try:
        if with_its_group and posix.getpgid(pid) == pid:
            posix.killpg(pid, number)
        else:
            posix.kill(pid, number)
    except OSError:
        pass  # it has ended


def prepare_service(program: child.Program, plan: "ServicePlan", command: "Command", group: str) -> None:
    """In the forked child: its imports cost PID 1 nothing."""
    from vzinit import prepare

    if group:
        cgroup.make(group)
    prepare.service(program, plan, command)


def how_it_ended(code: int, signal: int) -> str:
    return f"was ended by signal {signal}" if signal else f"ended with exit code {code}"
