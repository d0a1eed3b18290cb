"""The last steps before the exec of a service, in the child: user, directories, environment, limits,
$VARIABLES.

Imported in forked children only: its memory is gone with the exec.
"""

import _signal  # type: ignore[import-not-found]
import posix

from vzinit import _sys, child, fds, listen, unitfile, users
from vzinit.plan import Command, ServicePlan

DIRECTORIES = (
    ("RuntimeDirectory", "/run"), ("StateDirectory", "/var/lib"), ("CacheDirectory", "/var/cache"),
    ("LogsDirectory", "/var/log"), ("ConfigurationDirectory", "/etc"),
)  # fmt: skip
LIMITS = {"LimitCORE": 4, "LimitNPROC": 6, "LimitNOFILE": 7, "LimitMEMLOCK": 8}  # numbers of setrlimit(2)
SCALE = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def service(program: child.Program, plan: ServicePlan, command: Command) -> None:
    """Complete *program* for one command of *plan*.  Raises OSError, LookupError, ValueError."""
    options = plan.options
    uid, gid, groups = identity(options)
    make_directories(options, uid, gid)
    program.environment.update(environment(options))
    if command in plan.start:
        listen.take(options.get("Listen", []), program.environment)
    limits(options)
    redirect(options)
    if unitfile.is_true(last(options, "IgnoreSIGPIPE", "yes" if plan.name.endswith(".service") else "no")):
        _signal.signal(_signal.SIGPIPE, _signal.SIG_IGN)
    posix.umask(int(last(options, "UMask", "022"), 8))
    home = program.environment.get("HOME", "/root")
    directory = last(options, "WorkingDirectory", "/")
    program.cwd = home if directory.lstrip("-") == "~" else directory.lstrip("-")
    if directory.startswith("-") and not fds.is_dir(program.cwd):
        program.cwd = "/"
    program.argv = command.argv if ":" in command.flags else expand(command.argv, program.environment)
    program.program = command.program if command.program != command.argv[0] else program.argv[0]
    if "+" not in command.flags and "!" not in command.flags:
        become(uid, gid, groups)


def last(options: dict[str, list[str]], key: str, default: str) -> str:
    values = options.get(key)
    return values[-1] if values else default


def words(options: dict[str, list[str]], key: str) -> list[str]:
    return [word for value in options.get(key, []) for word in value.split()]


def identity(options: dict[str, list[str]]) -> tuple[int, int, list[int]]:
    """uid, gid and supplementary groups from User=, Group=, SupplementaryGroups=."""
    uid = gid = 0
    if last(options, "User", ""):
        row = users.by_name(last(options, "User", ""))
        uid, gid = int(row[2]), int(row[3])
    if last(options, "Group", ""):
        gid = users.gid_of(last(options, "Group", ""))
    more = [users.gid_of(name) for name in words(options, "SupplementaryGroups")]
    return uid, gid, sorted({*users.groups_of(uid, gid), *more})


def become(uid: int, gid: int, groups: list[int]) -> None:
    posix.setgroups(groups)
    posix.setgid(gid)
    posix.setuid(uid)


def make_directories(options: dict[str, list[str]], uid: int, gid: int) -> None:
    """RuntimeDirectory= and its kin: made, owned by the user (not below /etc), with their mode."""
    for key, parent in DIRECTORIES:
        mode = int(last(options, f"{key}Mode", "0755"), 8)
        for name in words(options, key):
            path = f"{parent}/{name.partition(':')[0]}"
            fds.make_parents(path + "/")
            if parent != "/etc":
                posix.chown(path, uid, gid)
            posix.chmod(path, mode)


def environment(options: dict[str, list[str]]) -> dict[str, str]:
    """Environment=, then the files of EnvironmentFile=; a file with `-` may be missing.

    USER and HOME for User=.
    """
    found: dict[str, str] = {}
    user = last(options, "User", "")
    if user:
        row = users.by_name(user)
        found.update(USER=row[0], LOGNAME=row[0], HOME=row[5], SHELL=row[6])
    for line in options.get("Environment", []):
        found.update(assignment(word) for word in unitfile.split(line) if "=" in word)
    for path in options.get("EnvironmentFile", []):
        if path.startswith("-"):
            text = fds.read_text(path[1:])
        else:
            text = fds.read_bytes(path).decode("utf-8", "surrogateescape")
        found.update(environment_file(text))
    return found


def assignment(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name, value


def environment_file(text: str) -> dict[str, str]:
    """`NAME=value` lines; quotes around a value are taken off, nothing is expanded."""
    rows = (assignment(line) for line in unitfile.logical_lines(text) if "=" in line)
    return {
        name.strip(): " ".join(unitfile.split(value)) if value[:1] in "'\"" else value.strip() for name, value in rows
    }


def limits(options: dict[str, list[str]]) -> None:
    """LimitNOFILE= and others, as far as we may; OOMScoreAdjust=, Nice=."""
    for key, which in LIMITS.items():
        if key in options:
            soft, _, hard = last(options, key, "").partition(":")
            try:
                _sys.setrlimit(which, number(soft), number(hard or soft))
            except (OSError, ValueError):
                pass  # no such limit; systemd would start the service all the same
    try:
        if "Nice" in options:
            posix.setpriority(posix.PRIO_PROCESS, 0, int(last(options, "Nice", "0")))
        if "OOMScoreAdjust" in options:
            fd = posix.open("/proc/self/oom_score_adj", posix.O_WRONLY)
            posix.write(fd, last(options, "OOMScoreAdjust", "0").encode())
            posix.close(fd)
    except OSError:
        pass  # likewise


def number(text: str) -> int:
    if text == "infinity":
        return -1
    return int(text.rstrip("KMGT")) * SCALE.get(text[-1:], 1)


def redirect(options: dict[str, list[str]]) -> None:
    """StandardOutput=null; everything else goes to the console."""
    for fd, key in ((1, "StandardOutput"), (2, "StandardError")):
        if last(options, key, "") == "null":
            posix.dup2(0, fd)


def expand(argv: list[str], values: dict[str, str]) -> list[str]:
    """`$NAME` as a word of its own becomes words, `${NAME}` anywhere its value, `$$` a dollar."""
    expanded = []
    for word in argv:
        if word[:1] == "$" and word[1:].isidentifier():
            expanded += unitfile.split(values.get(word[1:], ""))
        else:
            expanded.append(inside(word, values))
    return expanded


def inside(word: str, values: dict[str, str]) -> str:
    if "$" not in word:
        return word
    head, *rest = word.replace("$$", "\0").split("${")
    for part in rest:
        name, closed, tail = part.partition("}")
        head += values.get(name, "") + tail if closed else "${" + name
    return head.replace("\0", "$")
