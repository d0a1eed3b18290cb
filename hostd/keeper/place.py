"""What makes a keeper the only one of its prefix: lock, pid file, listening socket."""

import fcntl
import posix
from _socket import AF_UNIX, SOCK_SEQPACKET, socket

from hostd.cli.place import LOCK, PID_FILE, SOCKET, log_file, run_dir, text

_BACKLOG = 1024  # commands that wait for a daemon; the kernel cuts it to net.core.somaxconn


class AlreadyRunning(Exception):
    """Another keeper holds the lock; the text names its pid."""


def make_directories() -> None:
    for path in (run_dir(), log_file().rpartition("/")[0]):
        made = ""
        for part in path.strip("/").split("/"):
            made += "/" + part
            try:
                posix.mkdir(made, 0o755)
            except FileExistsError:
                pass


def real_prefix(prefix: str) -> str:
    """*prefix* absolute and without links; made when it is not there."""
    if not prefix:
        return ""
    try:
        posix.mkdir(prefix, 0o755)
    except FileExistsError:
        pass
    fd = posix.open(prefix, posix.O_PATH | posix.O_DIRECTORY)
    try:
        real = text(posix.readlink(f"/proc/self/fd/{fd}".encode()))
    finally:
        posix.close(fd)
    return "" if real == "/" else real


def take() -> tuple[int, socket]:
    """The lock and the listening socket of this prefix.  Raises AlreadyRunning, once that one listens.

    Whoever starts holds a lock on the directory until it listens or fails.  So a loser may tell its caller
    that there is a hostd to connect to.
    """
    directory = posix.open(run_dir(), posix.O_RDONLY | posix.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        return take_lock(), listen(directory)
    finally:
        posix.close(directory)


def take_lock() -> int:
    path = f"{run_dir()}/{LOCK}"
    lock = posix.open(path, posix.O_RDWR | posix.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        posix.close(lock)
        owner = running_pid() or "?"
        raise AlreadyRunning(f"hostd is already running: pid {owner} has locked {path}") from None
    return lock


def listen(directory: int) -> socket:
    """Bind under another name and rename: never a moment without a socket, and no stale one stays."""
    temporary = f"/proc/self/fd/{directory}/.{SOCKET}.{posix.getpid()}"
    sock = socket(AF_UNIX, SOCK_SEQPACKET)
    mask = posix.umask(0o177)
    try:
        sock.bind(temporary)
    finally:
        posix.umask(mask)
    sock.listen(_BACKLOG)
    sock.setblocking(False)
    posix.rename(temporary, f"{run_dir()}/{SOCKET}")
    return sock


def write_pid() -> None:
    path = f"{run_dir()}/{PID_FILE}"
    fd = posix.open(path + ".tmp", posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC, 0o644)
    posix.write(fd, b"%d\n" % posix.getpid())
    posix.close(fd)
    posix.rename(path + ".tmp", path)


def running_pid() -> int:
    """The pid in the pid file, 0 when there is none."""
    try:
        fd = posix.open(f"{run_dir()}/{PID_FILE}", posix.O_RDONLY)
    except OSError:
        return 0
    try:
        digits = posix.read(fd, 32).strip()
    finally:
        posix.close(fd)
    return int(digits) if digits.isdigit() else 0


def is_running() -> bool:
    try:
        posix.close(take_lock())
    except AlreadyRunning:
        return True
    except FileNotFoundError:
        return False
    return False


def owns(lock: int) -> bool:
    """Whether the lock that we hold is (still) the one that others would find."""
    try:
        there = posix.stat(f"{run_dir()}/{LOCK}")
    except OSError:
        return False
    ours = posix.fstat(lock)
    return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)


def leave(lock: int) -> None:
    """Remove what says that a keeper is here, if that is we; the lock file stays, it is the lock."""
    if not owns(lock):
        return
    for name in (SOCKET, PID_FILE):
        try:
            posix.unlink(f"{run_dir()}/{name}")
        except OSError:
            pass
