"""What each signal to PID 1 asks for.

busybox: `halt` SIGUSR1, `poweroff` SIGUSR2, `reboot` SIGTERM.  systemd's convention: SIGRTMIN+3 halt, +4
power off, +5 reboot, SIGINT (ctrl-alt-del) reboot.  SIGPWR: the power fails.  SIGCONT: what runit's files say.
Numbers of real time signals are those of glibc.
"""

import _signal  # type: ignore[import-not-found]
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vzinit.loop import Loop

SIGRTMIN = 34

MEANING = {
    _signal.SIGTERM: "reboot",
    _signal.SIGINT: "reboot",
    _signal.SIGUSR1: "halt",
    _signal.SIGUSR2: "poweroff",
    _signal.SIGPWR: "poweroff",
    SIGRTMIN + 3: "halt",
    SIGRTMIN + 4: "poweroff",
    SIGRTMIN + 5: "reboot",
    SIGRTMIN + 6: "reboot",
}
HARMLESS = (_signal.SIGHUP, _signal.SIGPIPE, _signal.SIGWINCH, _signal.SIGQUIT, _signal.SIGALRM)


def _noted(_number: int, _frame: object) -> None:
    """The number is in the wake-up pipe; the loop does the work."""


def watch(loop: "Loop", on_child: "Callable[[], object]", on_request: "Callable[[str], None]") -> None:
    """Turn signals into calls from the loop: `on_child()` and `on_request("reboot")`."""
    reader, writer = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
    _signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in HARMLESS:
        _signal.signal(number, _signal.SIG_IGN)
    for number in (_signal.SIGCHLD, _signal.SIGCONT, *MEANING):
        _signal.signal(number, _noted)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, [])

    def ready(_events: int) -> None:
        arrived = set(posix.read(reader, 4096))
        on_child()  # always: SIGCHLD may have found the pipe full
        for number in arrived & MEANING.keys():
            on_request(MEANING[number])
        if _signal.SIGCONT in arrived:
            from vzinit import runit

            if how := runit.asked_for():
                on_request(how)

    loop.watch(reader, ready)
