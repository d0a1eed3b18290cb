"""`hostd`: start the keeper, or talk to the one that runs.

    hostd [--cgroup NAME] [--stop | --upgrade] -- DAEMON ARG...

The program's stub adds `--` and the daemon's command line.  Signals: SIGTERM and SIGINT end the daemon,
then the keeper; containers go on running and the next hostd takes them over.  SIGHUP executes the installed
version in place.
Exit codes: 0, 1 with a line on stderr, 2 for wrong usage, 7 when a hostd of the same prefix runs.
"""

import posix
import sys
from _socket import AF_UNIX, SOCK_DGRAM, socket

from hostd.cli.place import environment, log_file, prefix
from hostd.keeper import detach, log, place, upgrade
from hostd.keeper.keeper import Keeper
from hostd.keeper.table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

RUNNING = 7
_SWITCHES = ("--stop", "--upgrade", "--answer")
_OPTIONS = ("--cgroup", "--adopt", "--check")
_USAGE = "usage: hostd [--cgroup NAME] [--stop | --upgrade]"


class BadUsage(Exception):
    pass


def main(argv: list[str]) -> None:
    """Run with the arguments *argv* (`--` and the daemon's command line at the end).  Does not return."""
    try:
        options, daemon = parse(argv)
        code = run(options, daemon, argv)
    except BadUsage as error:
        code = complain(f"hostd: {error}\n{_USAGE}", 2)
    except place.AlreadyRunning as error:
        code = complain(f"hostd: {error}", RUNNING)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        code = complain(f"hostd: {where}{error.strerror}", 1)
    posix._exit(code)


def parse(argv: list[str]) -> tuple[dict[str, str], list[str]]:
    """Options with their values, and the daemon's command line."""
    if "--" not in argv or argv[-1] == "--":
        raise BadUsage("no command line of the daemon")
    at = argv.index("--")
    options: dict[str, str] = {}
    words = iter(argv[:at])
    for word in words:
        if word in _SWITCHES:
            options[word] = ""
        elif word in _OPTIONS:
            options[word] = next(words, "")
        else:
            raise BadUsage(f"unknown option {word}")
    return options, argv[at + 1 :]


def run(options: dict[str, str], daemon: list[str], argv: list[str]) -> int:
    if "--check" in options:
        upgrade.Handover.load(int(options["--check"]))
        return 0
    if "--answer" in options:  # a command line that may need no daemon: hostd.command.offline
        if not environment("VZ_ANSWER"):
            raise BadUsage("--answer is for vzctl and vzlist")
        posix.execv(daemon[0], daemon)
    if "--stop" in options:
        return signal_running(_signal.SIGTERM, wait=True)
    if "--upgrade" in options:
        return signal_running(_signal.SIGHUP, wait=False)
    again = own_command_line(argv)
    if "--adopt" in options:
        return keep_adopted(int(options["--adopt"]), daemon, again, options)
    return keep(daemon, again, options)


def keep(daemon: list[str], again: list[str], options: dict[str, str]) -> int:
    """Become the keeper of this prefix.  Raises AlreadyRunning, OSError."""
    posix.closerange(3, 1 << 20)
    posix.environ[b"VZ_PREFIX"] = place.real_prefix(prefix()).encode("utf-8", "surrogateescape")
    place.make_directories()
    lock, listener = place.take()
    log_fd = open_log()
    detach.from_caller(log_fd)
    root = options.get("--cgroup", detach.cgroup_root(prefix()))
    if root:
        detach.leave_cgroups(root)
    try:
        place.write_pid()
    except OSError as error:  # a full /run: only `--stop` and `--upgrade` miss it
        log.line(f"the pid file: {error.strerror}")
    posix.dup2(log_fd, 2)  # the caller sees the end of our stderr: hostd is up
    posix.close(log_fd)
    log.line(f"keeper {posix.getpid()} started")
    return serve(Keeper(listener, Table(), daemon, environment_of_daemon(again)), lock, again, root)


def keep_adopted(fd: int, daemon: list[str], again: list[str], options: dict[str, str]) -> int:
    """Go on as the keeper that an earlier version was."""
    reopen_log()
    handover, listener, running = upgrade.adopt(fd)
    keeper = Keeper(listener, handover.table, daemon, environment_of_daemon(again))
    log.line(f"keeper {posix.getpid()} upgraded, with {len(handover.table.children)} containers")
    if running:
        keeper.adopt(running)
        keeper.end_daemon(_signal.SIGTERM)
    return serve(keeper, handover.lock, again, options.get("--cgroup", detach.cgroup_root(prefix())))


PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def adopt_orphans() -> None:
    """Whoever is orphaned below us becomes our child: PIDs 1 that CRIU has restored.  Kept over exec, not over fork.

    prctl(2) by the C half of ctypes alone, which costs a third of a millisecond.  Raises OSError.
    """
    import _ctypes

    prctl = _ctypes.dlsym(_ctypes.dlopen(None, 2), "prctl")  # type: ignore[arg-type]  # 2: RTLD_NOW
    if _ctypes.call_function(prctl, (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)):
        raise OSError(0, "prctl(PR_SET_CHILD_SUBREAPER) failed")


def serve(keeper: Keeper, lock: int, again: list[str], root: str) -> int:
    adopt_orphans()
    keeper.on_serving = notify_systemd
    keeper.is_ours = lambda: place.owns(lock)
    while keeper.run():
        upgrade.exec_next(keeper, lock, again)
        keeper.upgrading = False
    log.line(f"keeper {posix.getpid()} ends")
    place.leave(lock)
    if root:
        detach.return_cgroups(root)
    return 0


def own_command_line(argv: list[str]) -> list[str]:
    """What to execute to be started again with *argv*: interpreter and its options, script, both absolute."""
    script = sys.argv[0]
    if not script.startswith("/"):
        script = f"{posix.getcwd()}/{script}"
    options = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv)]
    return upgrade.adopting([sys.executable, *options, script, *argv])


def environment_of_daemon(again: list[str]) -> dict[str, str]:
    """With the keeper's own command line: should the keeper be killed, the daemon becomes the next one."""
    return {**detach.clean_environment(), "VZ_HOSTD": "\x1f".join(again)}


def reopen_log() -> None:
    """It may have been rotated.  A full disk is no reason for the parent of every container to end."""
    try:
        log_fd = open_log()
    except OSError as error:
        log.line(f"{log_file()}: {error.strerror}")
        return
    posix.dup2(log_fd, 1)
    posix.dup2(log_fd, 2)
    posix.close(log_fd)


def open_log() -> int:
    return posix.open(log_file(), posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT, 0o640)


def signal_running(number: int, *, wait: bool) -> int:
    """Signal the keeper of this prefix, and *wait* for its end."""
    pid = place.running_pid()
    try:
        pidfd = posix.pidfd_open(pid) if pid else -1
    except OSError:
        pidfd = -1
    if pidfd < 0 or not place.is_running() or place.running_pid() != pid:
        return complain("hostd: is not running", 1)
    _signal.pidfd_send_signal(pidfd, number)
    if wait:
        import select

        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll()
    return 0


def notify_systemd() -> None:
    """Tell the service manager that commands are answered (sd_notify(3))."""
    address = environment("NOTIFY_SOCKET")
    if not address:
        return
    try:
        sock = socket(AF_UNIX, SOCK_DGRAM)
        sock.sendto(b"READY=1", "\0" + address[1:] if address.startswith("@") else address)
        sock.close()
    except OSError as error:
        log.line(f"{address}: {error.strerror}")


def complain(line: str, code: int) -> int:
    posix.write(2, (line + "\n").encode("utf-8", "surrogateescape"))
    return code
