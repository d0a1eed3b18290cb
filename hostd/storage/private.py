"""Making a private area: beside its place first, complete and durable, then renamed into it."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from hostd.config import files
from hostd.config.places import UNFINISHED
from hostd.errors import Exit, Failure
from hostd.kernel.mount import mounts_below
from hostd.kernel.process import WITH_US


@contextmanager
def being_made(private: str) -> Iterator[str]:
    """An empty directory `PRIVATE.tmp` to fill; becomes *private* at the end, or is deleted on an exception.

    Raises Failure: FS_PRVT_AREA_EXIST when *private* is there and not empty, FS_NO_DISK_SPACE.
    """
    part = private + UNFINISHED
    try:
        os.makedirs(os.path.dirname(private), mode=0o700, exist_ok=True)
        _remove(part)  # of a create that was cut off
        os.mkdir(part, 0o700)
        yield part
        files.sync(part)
        _put(part, private)
    except OSError as error:
        _remove(part)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Failure(Exit.FS_NO_DISK_SPACE, f"no disk space left to make {private}") from error
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise Failure(Exit.FS_PRVT_AREA_EXIST, f"Private area already exists in {private}") from error
        raise Failure(Exit.FS_NEW_VE_PRVT, f"cannot make {private}: {error.strerror or error}") from error
    except BaseException:
        _remove(part)
        raise


def must_exist(private: str) -> None:
    """Raises Failure(FS_NOPRVT) when there is no private area."""
    if not os.path.isdir(private):
        raise Failure(Exit.FS_NOPRVT, f"Container private area {private} does not exist")


def copy_tree(source: str, target: str) -> None:
    """Fill the empty directory *target* with *source*: ids, modes, links, ACLs and all, shared blocks where
    possible.

    Raises Failure(FS_NO_DISK_SPACE) or Failure(FS_NEW_VE_PRVT).
    """
    argv = [*WITH_US, "cp", "--archive", "--reflink=auto", "--no-target-directory", source, target]
    done = subprocess.run(argv, stderr=subprocess.PIPE, env={**os.environ, "LC_ALL": "C"})
    if not done.returncode:
        subprocess.run(["sync", "-f", target], check=True)
        return
    complaint = done.stderr.decode(errors="replace").strip()
    if "No space left on device" in complaint or "Disk quota exceeded" in complaint:
        raise Failure(Exit.FS_NO_DISK_SPACE, f"no disk space left to copy {source}")
    reason = complaint.splitlines()[0] if complaint else "cp failed"
    raise Failure(Exit.FS_NEW_VE_PRVT, f"cannot copy {source}: {reason}")


def _put(part: str, private: str) -> None:
    """Whoever undoes a create that failed knows by *part* that nothing of it is at its place."""
    os.rename(part, private)
    try:
        files.sync(os.path.dirname(private))
    except OSError:
        os.rename(private, part)
        raise


def _remove(part: str) -> None:
    if os.path.lexists(part) and not mounts_below(part):
        shutil.rmtree(part)
