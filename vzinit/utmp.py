"""Who is logged in, and since when: /run/utmp has the present, /var/log/wtmp the past.

`who`, `w`, `last`, `runlevel` and invoke-rc.d read them.  As everywhere, a login is recorded where the files are; they
are made at the boot.  The present comes first, as the past may be on a full disk, or a link.  Layout: utmp(5), glibc's
bits/utmp.h.  Imported in forked children only, where its memory costs nothing.
"""

import fcntl
import posix
import sys
import time

from vzinit import fds, users

UTMP, WTMP = "/run/utmp", "/var/log/wtmp"
READERS = ("/usr/bin/last", "/bin/last")  # of WTMP; an image that has none wants none
RUN_LVL, BOOT_TIME, LOGIN_PROCESS, USER_PROCESS, DEAD_PROCESS = 1, 2, 6, 7, 8
TYPE, PID, LINE, ID = slice(0, 4), slice(4, 8), slice(8, 40), slice(40, 44)
OWNERS = "utmp"  # the group whose programs, screen for one, write there
FLAGS = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC
MOST = 1 << 20  # bytes that are looked at
ATTEMPTS, PAUSE = 20, 0.05  # for a lock that others hold for a moment, or for ever
TIME32 = (
    "x86_64",
    "i386",
    "i686",
    "ppc64le",
    "s390x",
    "mips64",
)  # 64-bit programs share the 32-bit record there


def boot(runlevel: str) -> None:
    """The system has come up, in *runlevel*.  Raises OSError."""
    make(UTMP)
    up = record(BOOT_TIME, 0, b"~", b"~~", b"reboot", posix.uname().release.encode())
    put(up)
    put(record(RUN_LVL, ord(runlevel) + (ord("N") << 8), b"~", b"~~", b"runlevel"))  # current and previous
    if any(map(fds.is_program, READERS)):
        make(WTMP)
    add(up)


def down() -> None:
    """The system goes down: whoever is still logged in is not any more.  Raises OSError."""
    add(record(RUN_LVL, 0, b"~", b"~~", b"shutdown"))


def login(line: str, pid: int) -> None:
    """Root has logged in on *line*, "pts/3", by the process *pid*.  Raises OSError."""
    name = line.encode()
    entry = record(USER_PROCESS, pid, name, name[-4:], b"root")
    put(entry)
    add(entry)


def logout(pid: int) -> None:
    """Whatever *pid* had recorded, a login or the prompt for one, is over.  Raises OSError."""
    size = len(record(0, 0))
    content = fds.read_bytes(UTMP, MOST)
    for at in range(0, len(content) - size + 1, size):
        entry = content[at : at + size]
        kind = int.from_bytes(entry[TYPE][:2], sys.byteorder)
        if kind in (LOGIN_PROCESS, USER_PROCESS) and int.from_bytes(entry[PID], sys.byteorder) == pid:
            end = record(DEAD_PROCESS, pid, entry[LINE], entry[ID])
            put(end)
            if kind == USER_PROCESS:
                add(end)


def make(path: str) -> None:
    """An empty file where there is nothing; what is there stays its owner's as it is."""
    fds.make_parents(path)
    try:
        fd = posix.open(path, FLAGS, 0o664)
    except FileExistsError:
        return
    try:
        posix.fchmod(fd, 0o664)
        posix.fchown(fd, 0, users.gid_of(OWNERS))
    except LookupError:
        pass  # an image without the group has no such programs
    finally:
        posix.close(fd)


def put(entry: bytes) -> None:
    """Into UTMP, in the place of the entry that it follows, or behind all others."""
    fd = opened(UTMP, posix.O_RDWR)
    try:
        lock(fd)
        content = posix.read(fd, MOST)
        posix.pwrite(fd, entry, place(content, entry))
    finally:
        posix.close(fd)


def add(entry: bytes) -> None:
    """To WTMP."""
    try:
        fd = opened(WTMP, posix.O_WRONLY | posix.O_APPEND)
    except FileNotFoundError:
        return
    try:
        lock(fd)
        posix.write(fd, entry)
    finally:
        posix.close(fd)


def opened(path: str, flags: int) -> int:
    """Never through a link, never waiting for whatever somebody has put there."""
    return posix.open(path, flags | posix.O_CLOEXEC | posix.O_NOFOLLOW | posix.O_NONBLOCK)


def lock(fd: int) -> None:
    """As glibc does it; who holds it for long is not waited for."""
    for _ in range(ATTEMPTS):
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(PAUSE)


def place(content: bytes, entry: bytes) -> int:
    """Of the system there is one entry of a kind, of a terminal one with its id; what is cut short is written over."""
    size = len(entry)
    kind = entry[TYPE][0]
    end = len(content) - len(content) % size
    for at in range(0, end, size):
        other = content[at : at + size]
        same_kind = kind == other[TYPE][0]
        if same_kind if kind <= BOOT_TIME else other[TYPE][0] > BOOT_TIME and other[ID] == entry[ID]:
            return at
    return end


def record(
    kind: int,
    pid: int,
    line: bytes = b"",
    name: bytes = b"",
    user: bytes = b"",
    host: bytes = b"",
    machine: str = "",
    now: float = 0,
) -> bytes:
    """384 bytes, or 400 where it holds 64-bit times.  *name* is the id of its terminal."""
    wide = sys.maxsize > 1 << 32 and (machine or posix.uname().machine) not in TIME32
    size = 8 if wide else 4
    seconds, micro = divmod(int((now or time.time()) * 1_000_000), 1_000_000)
    session = pid if kind == USER_PROCESS else 0
    fields = (
        kind.to_bytes(4, sys.byteorder), pid.to_bytes(4, sys.byteorder), line[:32].ljust(32, b"\0"),
        name[:4].ljust(4, b"\0"), user[:32].ljust(32, b"\0"), host[:256].ljust(256, b"\0"), bytes(4),
        *(number.to_bytes(size, sys.byteorder) for number in (session, seconds, micro)),
    )  # fmt: skip
    return b"".join(fields).ljust(400 if wide else 384, b"\0")
