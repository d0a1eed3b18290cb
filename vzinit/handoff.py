"""INIT=handoff: the image's own init becomes PID 1.

A child of it, the agent, goes on as what vzinit is for the host: channel, consoles, sessions.  Imported only in
containers that ask for it.
"""

import _signal  # type: ignore[import-not-found]
import errno
import posix

from vzinit import child, fds, image_init, notify, prompts, reaper, shutdown
from vzinit.signals import SIGRTMIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vzinit.console import Console, Consoles
    from vzinit.loop import Loop

UNKNOWN = 255 << 8  # wait status of a process whose end only the image's init has seen
TELL_TIME = 5.0  # seconds that a PID 1 without its program leaves the agent to say so
# How an init is asked: by a signal that it has for this, else by a command; those of sysvinit and runit are named so.
SIGNALS = {
    "systemd": {"halt": SIGRTMIN + 3, "poweroff": SIGRTMIN + 4, "reboot": SIGRTMIN + 5},
    "busybox": {"halt": _signal.SIGUSR1, "poweroff": _signal.SIGUSR2, "reboot": _signal.SIGTERM},
}
COMMANDS = {"openrc-init": {how: ["openrc-shutdown", f"--{how}", "now"] for how in ("halt", "poweroff", "reboot")}}
# A service in namespaces of these kinds could not be checkpointed, and no one of them keeps a neighbour out.
DROP_IN = "/run/systemd/system/service.d/10-vz.conf"
CAN_BE_CHECKPOINTED = b"[Service]\nProtectHostname=no\nPrivateUsers=no\nPrivateIPC=no\n"
# Neither could one with credentials, each a ramfs.  There are none to import; systemd 262 mounts them all the same.
# Older ones than 254 do not know the line, and would complain about it for each service.
JOURNALD, NO_CREDENTIALS = "/usr/lib/systemd/system/systemd-journald.service", b"ImportCredential=\n"
# OpenRC looks for these words anywhere in the environment of PID 1, and leaves modules, clocks, file systems and
# cgroups to the host then.  Of the containers that it knows this one has least to do by itself.
OPENRC = "/sbin/openrc"
KNOWN_TO_OPENRC = {"openrc_container": "container=systemd-nspawn"}
SERVICES = ("/etc/service", "/etc/runlevels/default")  # of runit and OpenRC: a name for each in there


class Agent:
    """Stands where `Shutdown` stands in a PID 1: a stop is PID 1's to do, and here only asked for."""

    def __init__(self, loop: "Loop", console: "Console", init: str) -> None:
        self._loop = loop
        self._console = console
        self._init = init
        self.how = ""

    def begin(self, how: str, _timeout: float = 0) -> None:
        """Ask for *how*.  Raises ValueError as `Shutdown.begin`; who asks has the patience, and the force."""
        self.how = shutdown.checked(how, self.how)
        self._loop.after(0, self._ask)  # later: whoever asked is answered first

    def asked(self, _how: str) -> None:
        """A signal to ourselves, of an init on its way down that wants to see no process."""
        posix._exit(0)

    def _ask(self) -> None:
        if number := SIGNALS.get(self._init, {}).get(self.how):
            posix.kill(1, number)
            return
        output = self._console.slave
        argv = COMMANDS.get(self._init, {}).get(self.how, [self.how])
        command = child.Program(argv, {"PATH": child.PATH, "TERM": "linux"}, [output, output, output])
        reaper.adopt(child.start(self._loop, command, self._asked_by_command, lambda _code, _signal: None))

    def _asked_by_command(self, number: int, text: str) -> None:
        if number:
            self._console.log(f"vzinit: {self.how}: {text}")


def hand_over(loop: "Loop", consoles: "Consoles", on_running: "Callable[[], None]") -> Agent:
    """Fork; PID 1 becomes the image's init, and this returns in the child, the agent, once that is so.

    *on_running* is called when the init says that it is up; of one that does not say such things, at once.  Raises
    OSError when there is no init or it cannot be executed; PID 1 has no way on then.
    """
    path, name = image_init.path(), image_init.name()
    if not path:
        raise OSError(errno.ENOENT, f"the image has no init: none of {', '.join(image_init.INITS)}")
    socket = notify.NotifySocket(loop, lambda pid, values: on_message(pid, values, on_running))
    environment = {"container": "vz", "TERM": "linux", "HOME": "/"}
    if name == "systemd":
        environment["NOTIFY_SOCKET"] = socket.open()
        knows = NO_CREDENTIALS.decode().strip() in fds.read_text(JOURNALD)
        fds.write_file(DROP_IN, CAN_BE_CHECKPOINTED + (NO_CREDENTIALS if knows else b""))
    else:
        names = [name for place in SERVICES for name in fds.listdir(place)]
        for number in prompts.of_inittab(fds.read_text("/etc/inittab")) | prompts.of_services(names):
            consoles.get(number)
    if fds.is_program(OPENRC):
        environment |= KNOWN_TO_OPENRC
    consoles.leave_prompts_to_others()
    held = name != "busybox"  # that one would keep the terminal from its login prompt; others let go of it
    running = {posix.pidfd_open(pid): one for pid, one in reaper.children.items()}
    reaper.children.clear()
    split(child.Program([path], environment, [consoles.first.slave] * 3, controlling_tty=held))
    for pidfd, one in running.items():
        watch_end(loop, pidfd, one)
    if name != "systemd":
        loop.after(0, on_running)
    return Agent(loop, consoles.first, name)


def split(program: child.Program) -> None:
    """PID 1 becomes *program*, its new child goes on here.  Raises OSError in that child when it did not work."""
    reader, writer = posix.pipe2(posix.O_CLOEXEC)
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
    if posix.fork():
        child.clean_signals()
        child.become(program, writer, linger=TELL_TIME)
    fds.close(writer)
    posix.setsid()
    _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
    report = posix.read(reader, 4096).decode("utf-8", "replace")
    fds.close(reader)
    if report:
        number, _, text = report.partition(" ")
        raise OSError(int(number), text)


def watch_end(loop: "Loop", pidfd: int, process: "reaper.Reaped") -> None:
    """What PID 1 started before the split is a child of the init's now, which alone hears how it ends."""

    def ended(_events: int) -> None:
        loop.unwatch(pidfd)
        posix.close(pidfd)
        process.ended(UNKNOWN)

    loop.watch(pidfd, ended)


def on_message(pid: int, values: dict[str, str], on_running: "Callable[[], None]") -> None:
    """A datagram at NOTIFY_SOCKET: PID 1's own word counts."""
    if pid == 1 and values.get("READY") == "1":
        on_running()
