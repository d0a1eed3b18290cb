"""Where commands and keeper meet: the few paths both need, without importing the configuration.

`hostd.config.paths.Paths` is the authority; tests hold the two together.
"""

import posix

# The commands: one executable, and these names.  `hostd.command.programs` says what those of the second line do.
PROGRAMS = (
    *("vzctl", "vzlist", "vz"),
    *("vzcalc", "vzcfgscale", "vzcfgvalidate", "vzcpucheck", "vzmemcheck", "vzsplit", "vzubc"),
)

RUN_DIR = "/run/vz"
SOCKET = "hostd.sock"
LOCK = "hostd.lock"
PID_FILE = "hostd.pid"
LOG = "/var/log/vz-hostd.log"

_PATH_MAX_OF_SOCKETS = 107  # sizeof(sockaddr_un.sun_path) - 1


def text(raw: bytes) -> str:
    """File system bytes as text, undecodable ones kept (what os.fsdecode does, without os)."""
    return raw.decode("utf-8", "surrogateescape")


def environment(name: str, default: str = "") -> str:
    return text(posix.environ.get(name.encode(), default.encode()))


def program() -> str:
    """The path of this command's executable, links followed."""
    return text(posix.readlink(b"/proc/self/exe"))


def prefix() -> str:
    """The directory that stands for `/` of this installation: "" for the real one."""
    return environment("VZ_PREFIX").rstrip("/")


def run_dir() -> str:
    return prefix() + RUN_DIR


def log_file() -> str:
    return prefix() + LOG


def reachable(path: str) -> tuple[str, int]:
    """*path* in a spelling that fits a socket address, and a descriptor to close afterwards (-1: none)."""
    if len(path.encode("utf-8", "surrogateescape")) <= _PATH_MAX_OF_SOCKETS:
        return path, -1
    directory, _, name = path.rpartition("/")
    fd = posix.open(directory, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    return f"/proc/self/fd/{fd}/{name}", fd


def last_line(path: str, *, without: str = "\0") -> str:
    """The last line of a log that has text and does not contain *without*; "" when there is none."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return ""
    try:
        posix.lseek(fd, max(0, posix.fstat(fd).st_size - 8192), 0)
        lines = text(posix.read(fd, 8192)).splitlines()
    except OSError:
        return ""
    finally:
        posix.close(fd)
    return next((line.strip() for line in reversed(lines) if line.strip() and without not in line), "")
