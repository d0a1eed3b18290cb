"""A sparse ext4 image per container: formatted once per size, then copied; a copy is 2 ms and about 4 MB.

The image holds `upper/` and `work/` of an overlay, and `spare/` (see `hostd.storage.spare`).  It is larger than
the container's DISKSPACE by what ext4 needs for itself, so that `df` inside shows exactly DISKSPACE.  It has the same
features whatever version of mke2fs, and whatever mke2fs.conf, made it: it may be mounted and checked on an older host
later.
"""

import errno
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

from hostd.config import files
from hostd.config.bounds import NO_LIMIT
from hostd.config.values import count_text
from hostd.errors import Exit, Failure, doing
from hostd.storage import spare
from hostd.storage.names import MAKING
from hostd.storage.superblock import BLOCK, INODE_BYTES, Superblock

DEFAULT_KIB = 10 << 20  # 10 GiB, when DISKSPACE is not set
SMALLEST_KIB = 4096
LARGEST_KIB = 15 << 30  # a file of an ext4 host has at most 16 TiB, and the tables of the image need some
MOST_FILES = 2**32 - 2**20  # an inode of ext4 has 32 bits
JOURNAL_KIB = 16384  # mke2fs would take up to 1 GiB, and a journal is written all over in time
BYTES_PER_INODE = 16384  # one file per so many bytes, when DISKINODES is not set
OWN_INODES = 16 + spare.INODES  # ext4's own ten, lost+found, upper, work, what overlay keeps in work; the spare
_FEATURES = (
    "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,"
    "huge_file,dir_nlink,extra_isize,metadata_csum"
)
_GUESS = 64  # blocks for everything else: rather too many than too few, or the journal finds no place
# mke2fs leaves the end of a disk unused that is too small for a group.  With smaller groups the end is elsewhere.
_GROUPS = (8 * BLOCK, 8 * BLOCK - 128)
REPAIRED, UNCORRECTED = 1, 4  # what e2fsck ends with; the second is a bit
_FICLONE = 0x40049409  # linux/fs.h


class Geometry(NamedTuple):
    """What an image is formatted for: *space_kib* for files, *inodes* files."""

    space_kib: int
    inodes: int

    @property
    def journal_kib(self) -> int:
        return JOURNAL_KIB if self.space_kib >= 4 * JOURNAL_KIB else SMALLEST_KIB


def geometry(diskspace_kib: int | None, diskinodes: int | None) -> Geometry:
    """The geometry of DISKSPACE and DISKINODES (None, and no limit of the files: defaults).

    Raises Failure(21) for a disk that cannot be.
    """
    space = DEFAULT_KIB if diskspace_kib is None else diskspace_kib
    files = space * 1024 // BYTES_PER_INODE if diskinodes in (None, *NO_LIMIT) else diskinodes or 1
    if not SMALLEST_KIB <= space <= LARGEST_KIB:
        raise _refused(f"DISKSPACE {count_text(space)}: must be from {SMALLEST_KIB} to {LARGEST_KIB} KiB")
    if files > MOST_FILES:
        raise _refused(f"DISKINODES {files}: must be at most {MOST_FILES}")
    return Geometry(_whole_blocks(space), inodes(files))


def _refused(text: str) -> Failure:
    return Failure(Exit.INVALID_PARAMETER_VALUE, text)


def inodes(files: int) -> int:
    """How many an image needs that can hold *files*."""
    return files + OWN_INODES


def golden(directory: str, wanted: Geometry) -> str:
    """Path of the formatted, empty image of that geometry in *directory*; formats it at first (10 ms)."""
    path = os.path.join(directory, f"ext4-spare-{wanted.space_kib}-{wanted.inodes}.img")
    if os.path.exists(path):
        return path
    os.makedirs(directory, mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=MAKING, dir=directory) as work:
        part = os.path.join(work, "image")
        format_image(part, wanted, work)
        files.sync(part)  # before it has its name: a crash must not leave a hollow one for all later containers
        os.rename(part, path)  # two at once make the same image twice; the last one stays
    return path


def format_image(path: str, wanted: Geometry, work: str) -> None:
    """mkfs.ext4 with `upper`, `work` and `spare` in it; *work* is a directory to prepare those in.

    How much ext4 needs for itself depends on the size: format, look, correct.
    """
    content = os.path.join(work, "content")
    for name, mode in (("", 0o755), ("upper", 0o755), ("work", 0o700)):
        os.mkdir(os.path.join(content, name), mode)
    spare.make(content)
    for group in _GROUPS:
        blocks = (wanted.space_kib + wanted.journal_kib) * 1024 // BLOCK + wanted.inodes * INODE_BYTES // BLOCK + _GUESS
        for _ in range(4):
            _mkfs(path, wanted, blocks, group, content)
            missing = wanted.space_kib * 1024 // BLOCK - Superblock.read(path).capacity
            if missing == 0:
                return
            blocks += missing
    raise _format_failure(path, f"mkfs.ext4 makes no disk of {wanted.space_kib} KiB")


def _mkfs(path: str, wanted: Geometry, blocks: int, group: int, content: str) -> None:
    with open(path, "wb") as file:
        os.truncate(file.fileno(), blocks * BLOCK)
    size = ["-b", str(BLOCK), "-g", str(group), "-I", str(INODE_BYTES), "-N", str(wanted.inodes), "-m", "0"]
    journal = f"size={wanted.journal_kib // 1024}"
    options = "nodiscard,lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0"
    _run(["mkfs.ext4", "-q", "-F", "-O", _FEATURES, *size, "-J", journal, "-E", options, "-d", content, path], path)


def clone(golden_path: str, path: str) -> None:
    """Copy an image, data only, durable when this returns.  Raises Failure(FS_NO_DISK_SPACE); leaves no half
    image.
    """
    with doing(f"copy {golden_path} to {path}"):
        source = os.open(golden_path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                _copy(source, target)
                os.fsync(target)
            except OSError as error:
                os.unlink(path)
                raise _out_of_space(error, path) from error
            finally:
                os.close(target)
        finally:
            os.close(source)


def resize(path: str, wanted_kib: int) -> None:
    """Make the image of a stopped container show *wanted_kib*.

    How much ext4 needs for itself is known afterwards only: resize, look, correct.  The number of inodes follows
    the size.  May be repeated after a crash.  Raises Failure: FS_NO_DISK_SPACE when more is stored than would
    fit, and the image is sound; RESOURCE when it must not be mounted, for it is damaged beyond what may be repaired
    without asking, or nobody knows.
    """
    with open(path, "rb") as lock:  # the programs inherit it: one that outlives us is waited for
        fcntl.flock(lock, fcntl.LOCK_EX)
        _check(path, lock.fileno())
        for attempt in range(5):
            now = Superblock.read(path)
            missing = wanted_kib * 1024 // BLOCK - now.capacity
            if missing == 0:
                break
            more = int(missing / (1 - now.inode_share)) if attempt == 0 else missing
            try:
                _set_size(path, now.blocks + more, lock.fileno(), f"cannot resize {path} to {wanted_kib} KiB")
            except Failure as failure:
                if attempt == 0 or failure.exit_code == Exit.RESOURCE:
                    raise
                break  # as near as it gets


def _check(path: str, lock: int) -> None:
    """Repair what may be repaired without asking.  Raises Failure(RESOURCE) unless *path* is sound afterwards."""
    done = _run_locked(["e2fsck", "-f", "-p", path], lock)
    if done.returncode in (0, REPAIRED):
        return
    if done.returncode > 0 and done.returncode & UNCORRECTED:
        raise Failure(Exit.RESOURCE, f"{path} is damaged: run e2fsck -f on it")
    reason = f"e2fsck ended with {done.returncode}: {_last_line(done.stdout)}"
    raise Failure(Exit.RESOURCE, f"{path} cannot be checked: {reason}")


def _set_size(path: str, wanted: int, lock: int, what: str) -> None:
    """*wanted*: blocks."""
    if wanted > Superblock.read(path).blocks:
        os.truncate(path, wanted * BLOCK)
    done = _run_locked(["resize2fs", path, f"{wanted * BLOCK // 1024}K"], lock)
    os.truncate(path, Superblock.read(path).blocks * BLOCK)
    if done.returncode:
        _check(path, lock)  # resize2fs marks the file system as one with errors, and leaves it so
        raise Failure(Exit.FS_NO_DISK_SPACE, f"{what}: {_last_line(done.stdout)}")


def _run_locked(argv: list[str], lock: int) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, pass_fds=(lock,)
    )


def _whole_blocks(kib: int) -> int:
    unit = BLOCK // 1024
    return -(-kib // unit) * unit


def _copy(source: int, target: int) -> None:
    try:
        fcntl.ioctl(target, _FICLONE, source)
        return
    except OSError:
        pass  # not a file system that shares blocks, or two file systems
    size = os.fstat(source).st_size
    os.truncate(target, size)
    for start, end in _data(source, size):
        while start < end:
            start += _piece(source, target, start, end - start)


def _piece(source: int, target: int, offset: int, length: int) -> int:
    """Copy some of *length* bytes at *offset*, inside the kernel where both files are on one file system."""
    try:
        copied = os.copy_file_range(source, target, length, offset, offset)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
            raise
        copied = os.pwrite(target, os.pread(source, min(length, 1 << 20), offset), offset)
    if copied == 0:
        raise OSError(errno.EIO, "image ended while it was copied")
    return copied


def _data(file: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, end) of everything that is not a hole."""
    position = 0
    while position < size:
        try:
            position = os.lseek(file, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            raise
        end = os.lseek(file, position, os.SEEK_HOLE)
        yield position, end
        position = end


def _run(argv: list[str], path: str) -> None:
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except FileNotFoundError:
        raise Failure(Exit.FS_NEW_VE_PRVT, f"{argv[0]} is not installed (package e2fsprogs)") from None
    if done.returncode:
        raise _format_failure(path, _last_line(done.stdout))


def _format_failure(path: str, reason: str) -> Failure:
    free = shutil.disk_usage(os.path.dirname(path)).free
    if free < (8 << 20):
        return Failure(Exit.FS_NO_DISK_SPACE, f"no disk space left to make {path}")
    return Failure(Exit.FS_NEW_VE_PRVT, f"cannot format {path}: {reason}")


def _out_of_space(error: OSError, path: str) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure(Exit.FS_NO_DISK_SPACE, f"no disk space left to make {path}")
    return error


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
