"""Start hostd on demand.

The keeper's stderr is a pipe to us until it listens: end of file is the sign that it is up (or gone), and
text is the reason why it is not.  Should another command have been faster, our keeper waits until that one
listens, says so and exits; then there is a hostd to connect to all the same.
"""

import posix

from hostd.cli import place
from vzinit.protocol import decode, one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class CannotStart(Exception):
    """The text says why hostd is not there."""


def start(connect: "Callable[[], None]") -> None:
    """Start the keeper, wait until it listens, then *connect*.  Raises CannotStart, also where VZ_START=no says so."""
    if place.environment("VZ_START") == "no":
        raise CannotStart("VZ_START=no")
    program = keeper_program()
    complaint = run_keeper(program)
    try:
        connect()
    except OSError as error:
        reason = complaint or place.last_line(place.log_file()) or error.strerror
        raise CannotStart(reason) from None


def keeper_program() -> str:
    """`hostd` beside this command.  Raises CannotStart when it is not there."""
    program = f"{place.program().rpartition('/')[0]}/hostd"
    if not posix.access(program, posix.X_OK):
        raise CannotStart(f"{program} is not an executable file")
    return program


def top(argv: list[str]) -> None:
    """`vzctl top`: become `vztop` beside this command.  Does not return."""
    program = f"{place.program().rpartition('/')[0]}/vztop"
    try:
        posix.execv(program, [program, *argv])
    except OSError as error:
        posix.write(2, f"vzctl: {program}: {error.strerror}\n".encode("utf-8", "surrogateescape"))
        posix._exit(20)  # SYNTAX, as any other command that this installation does not have


def run_keeper(program: str) -> str:
    """Start *program* on its own; its last line of complaint, "" when it is up."""
    reader, writer = posix.pipe()
    # A service that runs vzctl does not become hostd's own: hostd would stay in its cgroup and end with it.
    environment = {name: value for name, value in posix.environ.items() if name != b"NOTIFY_SOCKET"}
    try:
        posix.posix_spawn(
            program,
            [program],
            environment,
            file_actions=[
                (posix.POSIX_SPAWN_OPEN, 0, "/dev/null", posix.O_RDWR, 0),
                (posix.POSIX_SPAWN_OPEN, 1, "/dev/null", posix.O_RDWR, 0),
                (posix.POSIX_SPAWN_DUP2, writer, 2),
            ],
            setsid=True,
        )
    except OSError as error:
        raise CannotStart(f"{program}: {error.strerror}") from None
    finally:
        posix.close(writer)
    lines = place.text(read_all(reader)).strip().splitlines()
    return lines[-1] if lines else ""


def answer(prog: str, argv: list[str]) -> "tuple[int, str, str] | None":
    """Exit code, text for stdout and for stderr that `hostd --answer` has; None when a daemon is needed."""
    line = "\x1f".join([prog, *argv])
    environment = {**posix.environ, b"VZ_ANSWER": line.encode("utf-8", "surrogateescape")}
    reader, writer = posix.pipe()
    try:
        program = keeper_program()
        silence = (posix.POSIX_SPAWN_OPEN, 2, "/dev/null", posix.O_RDWR, 0)
        actions = [(posix.POSIX_SPAWN_DUP2, writer, 1), silence]
        pid = posix.posix_spawn(program, [program, "--answer"], environment, file_actions=actions)
    except (CannotStart, OSError):
        return None  # starting it says why
    finally:
        posix.close(writer)
    said = read_all(reader)
    posix.waitpid(pid, 0)
    try:
        verb, fields = decode(said)
    except ValueError:
        return None
    return (int(one(fields, "code")), one(fields, "out"), one(fields, "err")) if verb == "answer" else None


def read_all(reader: int) -> bytes:
    said = b""
    while data := posix.read(reader, 4096):
        said += data
    posix.close(reader)
    return said
