"""fork + exec of the container's programs, with nothing of vzinit left in them.

A child gets its own session, default signal dispositions, an empty signal mask, exactly the descriptors and
the environment it was given, umask 022 and no memory of vzinit.  PID 1 never waits for the exec (the program
may lie on a file system that hangs): a close-on-exec pipe tells later how it went.
"""

import _signal  # type: ignore[import-not-found]
import errno
import fcntl
import posix
import time

from vzinit import fds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vzinit.loop import Loop

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TIOCSCTTY = 0x540E
EXEC_FAILED = 127
HIGH_FD = 100  # copies of the wanted descriptors live from here on while 0, 1, 2... are being filled
PIPE_FD = HIGH_FD - 1  # of the report, out of the way of descriptors that `setup` may add
LAST_FD = 1 << 16
OOM_SCORE = "/proc/self/oom_score_adj"


class Program:
    """What to run.  `descriptors` become 0, 1, 2...; `setup` runs in the child just before the exec.

    With uid -1 the user is `setup`'s business.
    """

    __slots__ = (
        "argv",
        "controlling_tty",
        "cwd",
        "descriptors",
        "environment",
        "gid",
        "program",
        "setup",
        "uid",
    )

    def __init__(
        self,
        argv: list[str],
        environment: dict[str, str],
        descriptors: list[int],
        *,
        cwd: str = "/",
        uid: int = 0,
        gid: int = 0,
        program: str = "",
        controlling_tty: bool = False,
    ) -> None:
        self.argv = argv
        self.environment = environment
        self.descriptors = descriptors
        self.cwd = cwd
        self.uid = uid
        self.gid = gid
        self.program = program or argv[0]
        self.controlling_tty = controlling_tty
        self.setup: Callable[[], None] | None = None


class Child:
    """A started program.

    `on_start(errno, text)` once it runs (0, "") or could not be run; then `on_end(code, signal)`.
    """

    __slots__ = ("_loop", "_pipe", "on_end", "on_start", "pid")

    def __init__(
        self,
        loop: "Loop",
        pid: int,
        pipe: int,
        on_start: "Callable[[int, str], None] | None",
        on_end: "Callable[[int, int], None]",
    ) -> None:
        self._loop = loop
        self._pipe = pipe
        self.pid = pid
        self.on_start = on_start
        self.on_end = on_end
        loop.watch(pipe, self._exec_done)

    def _exec_done(self, _events: int = 0) -> None:
        """The pipe is closed (exec worked) or holds `errno text` (it did not)."""
        if self._pipe < 0:
            return
        pipe, self._pipe = self._pipe, -1
        self._loop.unwatch(pipe)
        try:
            report = posix.read(pipe, 4096).decode("utf-8", "replace")
        except BlockingIOError:  # it has ended, and a child of its own holds the other end: so it was executed
            report = ""
        posix.close(pipe)
        number, _, text = report.partition(" ")
        if self.on_start:
            self.on_start(int(number or 0), text)

    def ended(self, status: int) -> None:
        """The reaper collected it; *status* as of waitpid."""
        self._exec_done()
        if posix.WIFSIGNALED(status):
            self.on_end(0, posix.WTERMSIG(status))
        else:
            self.on_end(posix.WEXITSTATUS(status), 0)


def start(
    loop: "Loop",
    program: Program,
    on_start: "Callable[[int, str], None] | None",
    on_end: "Callable[[int, int], None]",
) -> Child:
    """Fork *program*.  Raises OSError when there is no process to be had; exec errors come by `on_start`."""
    report, pipe = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
    try:
        pid = fork(lambda: become(program, pipe))
    except BaseException:
        fds.close(report)
        raise
    finally:
        fds.close(pipe)
    return Child(loop, pid, report, on_start, on_end)


def fork(work: "Callable[[], None]", *, deaf: bool = False) -> int:
    """A child that does *work*, which never returns; its pid.  With default signals, or *deaf* to all but SIGKILL.

    Raises OSError.
    """
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
    try:
        pid = posix.fork()
        if not pid:
            if not deaf:
                clean_signals()
            work()
        return pid
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)


def aside(work: "Callable[[], None]") -> int:
    """A child that does *work* and ends: what it imports costs us nothing.  Its pid.  Raises OSError.

    The signals to everybody on the way down do not end it: what it records of the end would be lost.
    """

    def all_of_it() -> None:
        try:
            work()
        finally:
            posix._exit(0)

    return fork(all_of_it, deaf=True)


def become(program: Program, pipe: int, linger: float = 0) -> None:
    """In the child: turn into *program*, or tell why not, and stay for *linger* seconds.  Never returns."""
    step = program.program
    try:
        if posix.getsid(0) != posix.getpid():  # PID 1 leads one already
            posix.setsid()
        pipe = take_descriptors(program.descriptors, pipe)
        if program.controlling_tty:
            fcntl.ioctl(0, TIOCSCTTY, 0)
        posix.umask(0o022)
        forget_oom_score()
        if program.setup:
            program.setup()
        step = f"directory {program.cwd}"
        if program.uid >= 0:
            become_user(program.uid, program.gid)
        posix.chdir(program.cwd)
        step = program.program
        execute(program)
    except OSError as error:
        explain(pipe, error.errno or errno.EINVAL, f"{step}: {error.strerror}")
    except BaseException as error:
        explain(pipe, errno.EINVAL, f"{step}: {error}")
    finally:
        time.sleep(linger)
        posix._exit(EXEC_FAILED)


def explain(pipe: int, number: int, text: str) -> None:
    try:
        posix.write(pipe, f"{number} {text}".encode("utf-8", "replace"))
    except OSError:
        pass


def clean_signals() -> None:
    """Default dispositions and an empty mask.

    The interpreter ignores SIGPIPE and SIGXFSZ; programs must not.
    """
    _signal.set_wakeup_fd(-1)
    for number in _signal.valid_signals():
        try:
            _signal.signal(number, _signal.SIG_DFL)
        except (OSError, ValueError):
            pass  # SIGKILL, SIGSTOP
    _signal.pthread_sigmask(_signal.SIG_SETMASK, [])


def forget_oom_score() -> None:
    """The host may have made PID 1 the last to be killed; its children are as good as any other process."""
    if fds.read_text(OOM_SCORE).strip() not in ("", "0"):
        try:
            fds.overwrite(OOM_SCORE, b"0")
        except OSError:
            pass  # the host gave the whole container a worse score than 0: that is not ours to better


def take_descriptors(wanted: list[int], pipe: int) -> int:
    """Make *wanted* descriptors 0, 1, 2..., keep *pipe* as PIPE_FD, close all others."""
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH_FD) for fd in [*wanted, pipe]]
    pipe_copy = copies.pop()
    for target, copy in enumerate(copies):
        posix.dup2(copy, target)
    posix.closerange(len(copies), PIPE_FD)
    pipe = posix.dup2(pipe_copy, PIPE_FD, False)
    posix.closerange(pipe + 1, LAST_FD)
    return pipe


def become_user(uid: int, gid: int) -> None:
    if not uid and not gid:
        posix.setgroups([0])
        return
    from vzinit import users

    posix.setgroups(users.groups_of(uid, gid))
    posix.setgid(gid)
    posix.setuid(uid)


def execute(program: Program) -> None:
    """execvpe, with the rule of every shell: a text file without `#!` is a script of /bin/sh."""
    problem = OSError(errno.ENOENT, "No such file or directory")
    for path in candidates(program.program, program.environment.get("PATH", PATH)):
        try:
            posix.execve(path, program.argv, program.environment)
        except OSError as error:
            if error.errno == errno.ENOEXEC:
                posix.execve("/bin/sh", ["/bin/sh", path, *program.argv[1:]], program.environment)
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                problem = error
    raise problem


def candidates(name: str, path: str) -> list[str]:
    return [name] if "/" in name else [f"{directory or '.'}/{name}" for directory in path.split(":")]
