"""What is run inside from outside: commands on pipes (`exec`), login sessions on a terminal (`enter`)."""

import posix

from vzinit import child, fds, pty, reaper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vzinit.loop import Loop, Timer

SIGHUP, SIGKILL, SIGCONT = 1, 9, 18
GRACE = 2.0  # seconds between SIGHUP and SIGKILL when every session has to go
SHELLS = ("/bin/bash", "/usr/bin/bash", "/bin/sh")


class Sessions:
    """The running sessions by id.  `on_end(id, code, signal)` hears of every end."""

    def __init__(self, loop: "Loop", on_end: "Callable[[str, int, int], None]") -> None:
        self._loop = loop
        self._on_end = on_end
        self._running: dict[str, child.Child] = {}
        self._leaving = 0  # that have ended, and are just taken out of utmp
        self._when_empty: Callable[[], None] | None = None
        self._killer: Timer | None = None

    def execute(self, name: str, program: child.Program, on_start: "Callable[[int, str], None]") -> None:
        """Run a command; `on_start(errno, text)` tells when it is running or why not."""
        self._must_be_new(name)

        def ended(code: int, signal: int) -> None:
            if started:
                del self._running[name]
                self._on_end(name, code, signal)
                if program.controlling_tty:
                    self._log_out(pid)
            self._check_empty()

        def begun(number: int, text: str) -> None:
            if number:
                del self._running[name]
            else:
                started.append(True)
            on_start(number, text)

        started: list[bool] = []
        self._running[name] = reaper.adopt(child.start(self._loop, program, begun, ended))
        pid = self._running[name].pid

    def _log_out(self, pid: int) -> None:
        """It counts as a session until it has ended: a checkpoint waits for it."""
        self._leaving += 1

        def gone() -> None:
            self._leaving -= 1
            self._check_empty()

        log_out(pid, gone)

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def login(
        self,
        name: str,
        argv: list[str],
        terminal: str,
        rows: int,
        columns: int,
        on_start: "Callable[[int, str], None]",
    ) -> int:
        """A login session of root on a new terminal.

        Answers the master; the caller passes it on and closes it.
        """
        self._must_be_new(name)
        master, slave = pty.open_pty(rows, columns)
        line = pty.slave_name(master).removeprefix("/dev/")
        try:
            program = login_program(argv, terminal, slave)
            program.setup = lambda: log_in(line)
            self.execute(name, program, on_start)
            return master
        except BaseException:
            fds.close(master)
            raise
        finally:
            fds.close(slave)

    def _must_be_new(self, name: str) -> None:
        if not name or name in self._running:
            raise ValueError(f"session id {name!r} is empty or in use")

    def signal(self, name: str, number: int) -> None:
        """Signal the process group of a session.  Raises LookupError or OSError."""
        if name not in self._running:
            raise LookupError(f"no session {name}")
        posix.killpg(self._running[name].pid, number)

    def hang_up(self, name: str) -> None:
        self.signal(name, SIGHUP)
        self.signal(name, SIGCONT)

    def close_all(self, when_empty: "Callable[[], None]") -> None:
        """Hang up everything, kill what is left after `GRACE`, then call *when_empty*."""
        self._when_empty = when_empty
        self._signal_all(SIGHUP)
        self._signal_all(SIGCONT)
        self._killer = self._loop.after(GRACE, lambda: self._signal_all(SIGKILL))
        self._check_empty()

    def _signal_all(self, number: int) -> None:
        for name in list(self._running):
            try:
                self.signal(name, number)
            except OSError:
                pass

    def _check_empty(self) -> None:
        if not self._running and not self._leaving and self._when_empty:
            if self._killer:  # whoever comes later, after a checkpoint and its restore, is not meant
                self._killer.cancel()
            call, self._when_empty = self._when_empty, None
            call()


class Helper:
    """A forked child that nobody waits for, but for who wants to know that it has ended."""

    __slots__ = ("_then", "pid")

    def __init__(self, pid: int, then: "Callable[[], None]") -> None:
        self.pid = pid
        self._then = then

    def ended(self, _status: int) -> None:
        self._then()


def log_in(line: str) -> None:
    """In the child that becomes a login of root on *line*: what login(1) and its PAM leave to be seen."""
    from vzinit import utmp

    if_possible(lambda: fds.overwrite("/proc/self/loginuid", b"0"))  # by which `last` and `logname` go
    if_possible(lambda: utmp.login(line, posix.getpid()))


def if_possible(step: "Callable[[], None]") -> None:
    """A kernel without audit and an image without utmp keep nobody out."""
    try:
        step()
    except OSError:
        pass


def log_out(pid: int, then: "Callable[[], None]") -> None:
    """Have a child take what *pid* was out of utmp; *then* is called when it has, or when no child is to be had."""

    def work() -> None:
        from vzinit import utmp

        utmp.logout(pid)

    try:
        helper = Helper(child.aside(work), then)
    except OSError:  # NUMPROC is reached
        then()
    else:
        reaper.adopt(helper)


def login_program(argv: list[str], terminal: str, slave: int) -> child.Program:
    """A login shell of root (bash where there is one), or *argv* with the same surroundings."""
    shell = next((shell for shell in SHELLS if fds.is_program(shell)), "/bin/sh")
    environment = {
        "HOME": home_of_root(),
        "USER": "root",
        "LOGNAME": "root",
        "SHELL": shell,
        "PATH": child.PATH,
        "TERM": terminal or "linux",
    }
    home = environment["HOME"]
    return child.Program(
        argv or ["-" + shell.rpartition("/")[2]],
        environment,
        [slave, slave, slave],
        cwd=home if fds.is_dir(home) else "/",
        program=argv[0] if argv else shell,
        controlling_tty=True,
    )


def home_of_root() -> str:
    for line in fds.read_text("/etc/passwd").splitlines():
        row = line.split(":")
        if len(row) >= 7 and row[2] == "0":
            return row[5] or "/"
    return "/root"
