"""The lock of one container: the file `LOCKDIR/CTID.lck`, which other tools (vzdump, panels) make as well.

    PID\\n            the holder; it is a stale lock when no such process is alive
    ACTION\\n         what it does; OpenVZ leaves the line empty, so readers must not rely on it

The file appears by link(2) from a temporary one, so it is never seen half written.
"""

import os
import tempfile
from types import TracebackType

from hostd.config.paths import Paths
from hostd.errors import Exit, Failure, Locked

_ours: set[str] = set()  # the lock files that this process holds


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
        try:
            self._take()
        except OSError as error:
            raise Failure(Exit.SYSTEM, f"Unable to create lock file {self.path}: {error.strerror}") from error
        _ours.add(self.path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _ours.discard(self.path)
        try:
            if _holder(self.path)[0] == os.getpid():
                os.unlink(self.path)
        except FileNotFoundError:
            pass

    def _take(self) -> None:
        fd, tmp = tempfile.mkstemp(prefix=f".{os.path.basename(self.path)}.", dir=self._directory)
        try:
            with open(fd, "w", encoding="utf-8") as file:
                file.write(f"{os.getpid()}\n{self._action}\n")
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
        """Remove the lock of a dead process, by renaming so that a living one is never taken for it."""
        try:
            before = os.stat(self.path)
            pid, action = _holder(self.path)
        except FileNotFoundError:
            return
        if _alive(pid, self.path):
            raise Locked(
                f"Locked by: pid {pid}, cmdline {_command_line(pid)}\nContainer already locked",
                hint=f"busy: {action}" if action else "",
            )
        aside = tempfile.mktemp(prefix=f".{os.path.basename(self.path)}.stale.", dir=self._directory)
        try:
            os.rename(self.path, aside)
        except FileNotFoundError:
            return
        taken = os.stat(aside)
        if (taken.st_ino, taken.st_mtime_ns) == (before.st_ino, before.st_mtime_ns):
            self.removed_stale = self.path
        else:  # somebody else was faster and holds it: give it back
            os.link(aside, self.path)
        os.unlink(aside)


def holder(paths: Paths, ctid: int) -> tuple[int, str] | None:
    """(pid, action) of the live process that holds container *ctid*, or None."""
    try:
        pid, action = _holder(paths.lock(ctid))
    except OSError:
        return None
    return (pid, action) if _alive(pid, paths.lock(ctid)) else None


def _holder(path: str) -> tuple[int, str]:
    """The first integer of the file (0 when there is none) and its second line."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.read(4096).splitlines()
    first = lines[0].split()[:1] if lines else []
    pid = int(first[0]) if first and first[0].isascii() and first[0].isdigit() else 0
    return pid, lines[1].strip() if len(lines) > 1 else ""


def _alive(pid: int, path: str) -> bool:
    if pid == os.getpid():
        return path in _ours  # our number, but written by a predecessor of that number
    if not 0 < pid < 2**31:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _command_line(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(4096).rstrip(b"\0").replace(b"\0", b" ")
    except OSError:
        return "?"
    return words.decode("utf-8", "replace")
