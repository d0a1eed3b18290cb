"""The lock of one container: the file `LOCKDIR/CTID.lck`, which other tools (vzdump, panels) make as well.

    PID\\n            the holder; it is a stale lock when no such process is alive
    ACTION\\n         what it does, e.g. `start`; OpenVZ leaves the line empty, so readers must not rely on it
    IDENTITY\\n       of ours only: tells the holder from a later process with the same pid, also after a boot

The file appears by link(2) from a temporary one, so it is never seen half written.

On a full disk there is none: whoever has to make room must be able to stop or destroy a container.  Another program
that holds the lock is honoured then, and our own commands exclude each other as ever.
"""

import errno
import os
import tempfile
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple

from hostd.config.paths import Paths
from hostd.errors import Exit, Failure, Locked
from hostd.kernel.boot import boot_id
from hostd.kernel.process import Process
from hostd.log import log

_SUFFIX = ".lck"
_HALF = f"{_SUFFIX}."  # in the names of files on their way in or out
_FULL = (errno.ENOSPC, errno.EDQUOT)

_ours: dict[str, str] = {}  # the lock files that this process holds, and what for


class Holder(NamedTuple):
    """What a lock file says."""

    pid: int  # 0 when it names none
    action: str = ""
    identity: str = ""


class CtLock:
    """`with CtLock(paths, 101, "start"):`  Raises Locked (9), Failure 77 (no lock directory) or 3 at once.

    `removed_stale` is the path of a lock whose holder was dead, for the message about it.
    """

    def __init__(self, paths: Paths, ctid: int, action: str) -> None:
        self._directory = paths.lock_dir
        self._action = action
        self.path = paths.lock(ctid)
        self.removed_stale = ""

    def __enter__(self) -> "CtLock":
        if not os.path.isdir(self._directory):
            raise Failure(Exit.VE_LCKDIR_NOTSET, f"No lock directory {self._directory} (LOCKDIR of vz.conf)")
        if self.path in _ours:
            raise locked_by(os.getpid(), _command(_ours[self.path], self.path))
        try:
            self._take()
        except OSError as error:
            if error.errno not in _FULL:
                raise Failure(Exit.SYSTEM, f"Unable to create lock file {self.path}: {error.strerror}") from error
            self._go_without(error)
        _ours[self.path] = self._action
        return self

    def _go_without(self, error: OSError) -> None:
        if os.path.lexists(self.path):
            with suppress(OSError):  # of a dead one: it stays, and is as good as none
                self._clear_stale()
        log.warning("no lock file %s: %s; other programs do not see that it is locked", self.path, error.strerror)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _ours.pop(self.path, None)
        try:
            if _read(self.path).pid == os.getpid():
                os.unlink(self.path)
        except FileNotFoundError:
            pass

    def _take(self) -> None:
        fd, tmp = tempfile.mkstemp(prefix=f".{os.path.basename(self.path)}.", dir=self._directory)
        try:
            with open(fd, "w", encoding="utf-8") as file:
                file.write(f"{os.getpid()}\n{self._action}\n{_identity(os.getpid())}\n")
                os.fchmod(fd, 0o644)
            while not self._linked(tmp):
                self._clear_stale()
        finally:
            os.unlink(tmp)

    def _linked(self, tmp: str) -> bool:
        try:
            os.link(tmp, self.path)
        except FileExistsError:
            return False
        return True

    def _clear_stale(self) -> None:
        try:
            if _remove_stale(self.path):
                self.removed_stale = self.path
        except FileNotFoundError:
            return


def sweep(paths: Paths) -> list[str]:
    """Remove every lock that a dead process left, and halves of our own; answer the paths.

    For the start of a daemon, which is the only one of its installation: half-made files can only be its
    predecessors'.
    """
    try:
        names = os.listdir(paths.lock_dir)
    except FileNotFoundError:
        return []
    gone = []
    for name in names:
        path = os.path.join(paths.lock_dir, name)
        try:
            if name.startswith(".") and _HALF in name:
                os.unlink(path)
            elif name.endswith(_SUFFIX) and _remove_stale(path):
                gone.append(path)
        except (Locked, FileNotFoundError):
            continue
    return gone


def _remove_stale(path: str) -> bool:
    """Remove the lock of a dead process, by renaming so that a living one is never taken for it.

    False when somebody else was faster and holds it.  Raises Locked, FileNotFoundError.
    """
    before = os.stat(path)
    found = _read(path)
    if _alive(found, path):
        raise locked_by(found.pid, _command_line(found, path))
    directory, name = os.path.split(path)
    aside = tempfile.mktemp(prefix=f".{name}.stale.", dir=directory)
    os.rename(path, aside)
    taken = os.stat(aside)
    ours = (taken.st_ino, taken.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    if not ours:
        os.link(aside, path)
    os.unlink(aside)
    return ours


def _read(path: str) -> Holder:
    """The first integer of the file, and the lines after it."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = [line.strip() for line in file.read(4096).splitlines()]
    first = lines[0].split()[:1] if lines else []
    pid = int(first[0]) if first and first[0].isascii() and first[0].isdigit() else 0
    return Holder(pid, *lines[1:3])


def _alive(found: Holder, path: str) -> bool:
    """Whether the lock *found* in *path* still means something."""
    if found.pid == os.getpid():
        return path in _ours  # our number, but written by a predecessor of that number
    if not 0 < found.pid < 2**31:
        return False
    identity = _identity(found.pid)
    if not identity or (found.identity and found.identity != identity):
        return False
    # A keeper holds no lock: what is in the name of ours was taken by the daemon that it has been before.
    return not (found.identity and found.pid == os.getppid())


def _identity(pid: int) -> str:
    """What tells this process from all others of all boots; "" when it has ended, reaped or not."""
    try:
        process = Process.open(pid)
    except OSError:
        return ""
    process.close()
    return f"{boot_id()} {process.identity}"


def locked_by(pid: int, command: str) -> Locked:
    """What a second command is told, in OpenVZ's words: process *pid* is at work for *command*."""
    return Locked(f"Locked by: pid {pid}, cmdline {command}\nContainer already locked")


def _command(action: str, path: str) -> str:
    return f"vzctl {action} {os.path.basename(path).removesuffix(_SUFFIX)}"


def _command_line(found: Holder, path: str) -> str:
    """What the holder does.  A daemon's own command line would not tell: it holds the lock for a command."""
    if found.identity and found.action:
        return _command(found.action, path)
    try:
        with open(f"/proc/{found.pid}/cmdline", "rb") as file:
            words = file.read(4096).rstrip(b"\0").replace(b"\0", b" ")
    except OSError:
        return "?"
    return words.decode("utf-8", "replace") or "?"
