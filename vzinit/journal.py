"""The log of the container: a journal file that the image's own `journalctl` and `systemctl status` read.

The file is bounded: when it is full it is archived beside itself, in place of the one archived before.
"""

import posix
import time

from vzinit import fds
from vzinit import journal_file as files
from vzinit import journal_format as form

LIMIT = 4 << 20  # bytes of the file; with the archived one it is twice that
OVERHEAD = 256  # bytes that a field may cost besides its text
FLAGS = posix.O_RDWR | posix.O_CLOEXEC | posix.O_NOFOLLOW | posix.O_NONBLOCK
SUFFIX = ".journal"


class Journal:
    """The only writer of *path* (`.../NAME.journal`); identities are 16 bytes.

    Nothing is opened before the first line.  `boot_id` may be changed between lines.
    """

    def __init__(self, path: str, machine_id: bytes, boot_id: bytes, limit_bytes: int = LIMIT) -> None:
        self.boot_id = boot_id
        self._path = path
        self._machine_id = machine_id
        self._limit = max(limit_bytes, files.STEP)
        self._seqnum_id = posix.urandom(16)
        self._seqnum = 0  # of the last entry
        self._file: files.File | None = None

    def append(
        self, fields: list[bytes], realtime_us: int | None = None, monotonic_us: int | None = None
    ) -> bool:
        """Write an entry of *fields* (`NAME=value`, any bytes) and `_BOOT_ID`; the times are those of now.

        False: it could not be written (no space, or larger than half the limit); the next one is tried again.
        """
        if sum(map(len, fields)) + OVERHEAD * len(fields) > self._limit // 2:
            return False
        now = time.time_ns() // 1000 if realtime_us is None else realtime_us
        ticks = time.monotonic_ns() // 1000 if monotonic_us is None else monotonic_us
        try:
            self._write([*fields, b"_BOOT_ID=" + self.boot_id.hex().encode()], now, ticks)
            return True
        except OSError:
            self._let_go()
            return False

    def close(self) -> None:
        """Say that the file is complete.  (fdatasync is left out: it is memory, or not worth a halt of PID 1.)"""
        try:
            if self._file:
                self._file.set_state(form.OFFLINE)
        except OSError:
            pass
        self._let_go()

    def _write(self, fields: list[bytes], now: int, ticks: int) -> None:
        file = self._named_file()
        try:
            file.compose(fields, self._seqnum + 1, now, ticks, self.boot_id, self._limit)
        except files.Full:
            self._archive(file)
            file = self._create()
            file.compose(fields, self._seqnum + 1, now, ticks, self.boot_id, self._limit)
        file.commit()
        self._seqnum += 1

    # The file: continued, made, put aside.

    def _named_file(self) -> files.File:
        """The open file, if it still has a name: what was removed is made anew."""
        if self._file and posix.fstat(self._file.fd).st_nlink:
            return self._file
        self._let_go()
        return self._continue() or self._create()

    def _continue(self) -> files.File | None:
        """The file that is there.  It is put aside when it is not ours, or was cut off in the middle of an append."""
        try:
            fd = posix.open(self._path, FLAGS)
        except FileNotFoundError:
            return None
        try:
            file = self._file = self._recognise(fd)
            usable = file.resume()
        except OSError:
            usable = False
        if not usable:
            self._put_aside()
        elif file.head[form.N_ENTRIES]:
            file.set_state(form.ONLINE)
            self._seqnum = file.head[form.TAIL_SEQNUM]
            self._seqnum_id = bytes(file.header[form.SEQNUM_ID_AT : form.WORDS_AT])
            return file
        self._let_go()
        return None

    def _recognise(self, fd: int) -> files.File:
        """The file *fd* (closed in case of an error), which we wrote.  Raises OSError if it is anything else."""
        try:
            size = posix.fstat(fd).st_size
            header = bytearray(posix.pread(fd, form.HEADER_SIZE, 0))
            if not form.is_ours(header, self._machine_id, size):
                raise files.Full
        except OSError:
            fds.close(fd)
            raise
        return files.File(fd, header, size)

    def _create(self) -> files.File:
        """A new file, complete when it gets its name."""
        self._let_go()
        size = files.STEP
        header = form.new_header(posix.urandom(16), self._machine_id, self.boot_id, self._seqnum_id, size)
        fds.make_parents(self._path)
        temporary = self._path + ".vz-new"
        fd = posix.open(temporary, FLAGS | posix.O_CREAT | posix.O_TRUNC, 0o640)
        file = self._file = files.File(fd, header, size)
        posix.ftruncate(fd, size)
        file.write(header + form.hash_tables(), 0)
        posix.rename(temporary, self._path)
        return file

    def _archive(self, file: files.File) -> None:
        """Named as journald names its own."""
        file.set_state(form.ARCHIVED)
        first, since = file.head[form.HEAD_SEQNUM], file.head[form.HEAD_REALTIME]
        self._rename(f"{self._seqnum_id.hex()}-{first:016x}-{since:016x}{SUFFIX}")

    def _put_aside(self) -> None:
        """Out of the way with what cannot be continued; readers try to make sense of it."""
        self._rename(f"{time.time_ns() // 1000:016x}-{posix.urandom(8).hex()}{SUFFIX}~")

    def _rename(self, ending: str) -> None:
        """Make the file the archived one, and remove the one before."""
        directory, _, name = self._path.rpartition("/")
        start = name.removesuffix(SUFFIX) + "@"
        posix.rename(self._path, f"{directory}/{start}{ending}")
        for name in posix.listdir(directory):
            if name.startswith(start) and name != start + ending:
                posix.unlink(f"{directory}/{name}")

    def _let_go(self) -> None:
        if self._file:
            fds.close(self._file.fd)
            self._file = None


# What journalctl shows of an entry, and looks for.  With -u, as with `systemctl status`, that is _SYSTEMD_UNIT=, or
# UNIT= in what PID 1 said: which it knows by _PID= (252) or by _SYSTEMD_CGROUP= (257).  Names that begin with _ are
# those that a service cannot choose.  Every field costs 24 bytes of each entry, so there are no others.


def line_fields(unit: str, pid: int, ident: str, text: bytes, priority: int) -> list[bytes]:
    """The fields of a line that process *pid* of *unit* (`NAME.service`) wrote; *ident* is its name in the log."""
    return [*_common(pid, ident, text, priority), b"_SYSTEMD_UNIT=" + _encode(unit)]


def about_unit(unit: str, text: str, priority: int) -> list[bytes]:
    """The fields of what PID 1 has to say about *unit*."""
    origin = [b"_SYSTEMD_CGROUP=/init.scope", b"_SYSTEMD_UNIT=init.scope"]
    return [*_common(1, "systemd", _encode(text), priority), *origin, b"UNIT=" + _encode(unit)]


def _common(pid: int, ident: str, text: bytes, priority: int) -> list[bytes]:
    return [
        b"MESSAGE=" + text,
        b"PRIORITY=%d" % priority,
        b"SYSLOG_IDENTIFIER=" + _encode(ident),
        b"_PID=%d" % pid,
        b"_HOSTNAME=" + _encode(posix.uname().nodename),
    ]


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
