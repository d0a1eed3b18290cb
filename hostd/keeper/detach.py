"""Leave everything of the caller behind: terminal, session, directory, environment, cgroups, priority, limits."""

import posix

from hostd.cli.place import environment, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Iterator
else:
    import _signal

_TAG_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_TAG_LENGTH = 8
_CGROUPS = "/sys/fs/cgroup"
_LEAF = ".hostd"
_OOM_SCORE = b"-500"
_OPEN_FILES = 65536
_OPEN_FILES_INSIDE = 524288  # of one process: as `hostd.container.inner_limits.NOFILE`
_LIMITS = 16  # RLIM_NLIMITS of include/uapi/asm-generic/resource.h
_INIT = 1
_QUESTION = b"VZ_ANSWER"  # of `hostd --answer` alone: it makes a daemon answer one command line and end
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def from_caller(log: int) -> None:
    """Own session, `/`, known umask, no terminal.  *log* becomes stdout; stderr stays, for now."""
    try:
        posix.setsid()
    except PermissionError:
        pass  # started as a session leader
    posix.chdir("/")
    posix.umask(0o022)
    null = posix.open("/dev/null", posix.O_RDWR)
    posix.dup2(null, 0)
    posix.dup2(log, 1)
    posix.close(null)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    if not environment("NOTIFY_SOCKET"):  # a service has what its unit says
        as_service()
    raise_file_limit()
    if int(read("/proc/self/oom_score_adj") or 0) > int(_OOM_SCORE):  # the service manager may say less
        write("/proc/self/oom_score_adj", _OOM_SCORE)
    write("/proc/self/comm", b"hostd")


def as_service() -> None:
    """Priority, processors and limits as the host's init gives them to what it starts; best effort.

    Not those of whoever typed the first command, behind `nice`, `taskset` or `ulimit`: every container inherits ours.
    """
    attempt(posix.sched_setscheduler, 0, posix.SCHED_OTHER, posix.sched_param(0))
    attempt(posix.setpriority, posix.PRIO_PROCESS, 0, 0)
    attempt(processors_of_init)
    for which in range(_LIMITS):
        attempt(limit_of_init, which)


def attempt(step: "Callable[..., object]", *arguments: object) -> None:
    try:
        step(*arguments)
    except (OSError, ValueError):  # the latter of setrlimit(2), which takes CAP_SYS_RESOURCE
        pass


def processors_of_init() -> None:
    """Set only where they differ: what was set the kernel keeps to when there are more processors."""
    ours, wanted = allowed("self"), allowed(str(_INIT))
    if ours != wanted:
        posix.sched_setaffinity(0, wanted)


def allowed(pid: str) -> "set[int]":
    """Its processors, those that are switched off as well, which sched_getaffinity(2) leaves out."""
    lines = [line for line in read(f"/proc/{pid}/status").splitlines() if line.startswith("Cpus_allowed_list:")]
    found: set[int] = set()
    for part in lines[0].partition(":")[2].split(",") if lines else ():
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def limit_of_init(which: int) -> None:
    import resource

    if which != resource.RLIMIT_NOFILE:
        resource.setrlimit(which, resource.prlimit(_INIT, which))


def raise_file_limit() -> None:
    """Keeper and daemon have a few descriptors per container; 1024 would be the end at 200 of them.  No process inside
    may have more than we.
    """
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _OPEN_FILES_INSIDE:
        attempt(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, _OPEN_FILES_INSIDE))
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _OPEN_FILES:
        wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def clean_environment() -> dict[str, str]:
    """What the daemon gets: a fixed PATH and locale, and the VZ_ variables (prefix, fault points)."""
    names = [name for name in posix.environ if name.startswith(b"VZ_") and name != _QUESTION]
    kept = {text(name): text(posix.environ[name]) for name in names}
    return {"PATH": _PATH, "HOME": "/root", "LANG": "C.UTF-8", **kept}


def cgroup_root(prefix: str) -> str:
    """Name of the cgroup that everything of *prefix* lives below: `vz`, or `vz-` and the prefix's tag.

    As `hostd.config.paths.Paths.cgroup_root`, which cannot be imported here; a test holds them together.
    """
    if not prefix:
        return "vz"
    try:
        from _sha2 import sha256  # type: ignore[import-not-found]  # Python 3.12 and later
    except ImportError:
        from _sha256 import sha256  # type: ignore[import-not-found]
    digest = sha256(prefix.encode("utf-8", "surrogateescape")).digest()
    return "vz-" + "".join(_TAG_LETTERS[byte % 32] for byte in digest[:_TAG_LENGTH])


def leave_cgroups(root: str) -> None:
    """Out of the caller's cgroups (a session, another container), into `ROOT/.hostd`; best effort.

    A hierarchy in whose top we are is left alone.  As a systemd service we stay: that cgroup is our own.
    """
    if environment("NOTIFY_SOCKET"):
        return
    for top, path, member in memberships():
        if path != "/" and not path.startswith(f"/{root}/"):
            enter(f"{top}/{root}", member)


def enter(root: str, member: str) -> None:
    try:
        for directory in (root, f"{root}/{_LEAF}"):
            try:
                posix.mkdir(directory, 0o755)
            except FileExistsError:
                pass
            copy_cpuset(directory)
    except OSError:
        return
    write(f"{root}/{_LEAF}/{member}", b"0")


def return_cgroups(root: str) -> None:
    """Before the end: out of our own cgroups again, and remove them where nobody else uses them."""
    for top, path, member in memberships():
        if path == f"/{root}/{_LEAF}":
            write(f"{top}/{member}", b"0")
            for directory in (f"{top}/{root}/{_LEAF}", f"{top}/{root}"):
                try:
                    posix.rmdir(directory)
                except OSError:
                    pass


def memberships() -> "Iterator[tuple[str, str, str]]":
    """Every hierarchy: where it is mounted, our path in it, and the file that a process joins by.

    v1: `tasks`, because writing `0` there is not delayed by milliseconds as `cgroup.procs` is.
    """
    for line in read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers:
            yield f"{_CGROUPS}/{controllers.removeprefix('name=')}", path, "tasks"
        elif posix.access(f"{_CGROUPS}/cgroup.procs", posix.F_OK):
            yield _CGROUPS, path, "cgroup.procs"
        else:
            yield f"{_CGROUPS}/unified", path, "cgroup.procs"


def copy_cpuset(directory: str) -> None:
    """A new v1 cpuset is empty and takes no process until it has cpus and memory nodes."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        path = f"{directory}/{name}"
        if "/cpuset" in directory and not read(path).strip():
            write(path, read(f"{directory.rpartition('/')[0]}/{name}").strip().encode())


def read(path: str) -> str:
    try:
        fd = posix.open(path, posix.O_RDONLY)
    except OSError:
        return ""
    try:
        return text(posix.read(fd, 65536))
    finally:
        posix.close(fd)


def write(path: str, data: bytes) -> None:
    """Best effort: what the host does not allow is not worth failing for."""
    try:
        fd = posix.open(path, posix.O_WRONLY)
    except OSError:
        return
    try:
        posix.write(fd, data)
    except OSError:
        pass
    finally:
        posix.close(fd)
