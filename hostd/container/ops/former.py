"""Files inside, and its name, as they were before a change, to be there again when it fails.

Files are looked at and removed from outside, in the container's disk as it is mounted on the host: what is the root of
PID 1 the guest may choose, and it may be one that never answers.  No link is followed, and nothing is entered that is
mounted below, since it may be a directory that the host lends.  That a guest can still keep a directory locked is what
`bounded` is for.  vzinit writes them, as it has written the others.
"""

import os
import stat
from collections.abc import Iterable, Mapping

from hostd.checkpoint.aside import bounded
from hostd.container.container import Container
from hostd.container.ops import sessions, undo
from hostd.container.record import Record
from hostd.errors import Exit, Failure, VzError
from hostd.kernel.fd import Fd
from hostd.kernel.mount import is_mounted, openat2
from hostd.kernel.namespace import nodename

# For a record.  By path: NOTHING; FILE, its mode and its text; LINK and where it leads.  By UNAME: CALLED and the name.
Former = dict[str, list[str]]
NOTHING, FILE, LINK, CALLED = "nothing", "file", "link", "called"
UNAME = "uname"
MOST = 64 << 10  # bytes of a file: less than a frame to vzinit can carry


async def look(ct: Container, paths: Iterable[str]) -> Former:
    """What is at *paths* now.  What could not be put there again (a device, a mount, a long file) is left out.

    Raises Failure when they do not answer.
    """
    record = ct.record
    try:
        return {} if record is None else await bounded(lambda: _look(record, paths))
    except OSError as error:
        raise Failure(Exit.SYSTEM, f"cannot look at the files of CT {ct.ctid}: {error.strerror}") from error


async def called(ct: Container) -> Former:
    """What it calls itself now: the guest may have chosen that.  Raises Failure."""
    sessions.link_of(ct)
    assert ct.process is not None
    pidfd = ct.process.pidfd
    try:
        return {UNAME: [CALLED, await bounded(lambda: nodename(pidfd))]}
    except OSError as error:
        raise Failure(Exit.SYSTEM, f"cannot look at the name of CT {ct.ctid}: {error.strerror}") from error


def _look(record: Record, paths: Iterable[str]) -> Former:
    if not is_mounted(record.root):
        return {}
    with _disk(record) as root:
        seen = {path: _seen(root, path) for path in paths}
    return {path: found for path, found in seen.items() if found}


def _disk(record: Record) -> Fd:
    return Fd.open(record.root, os.O_PATH | os.O_DIRECTORY)


def _seen(root: Fd, path: str) -> list[str]:
    try:
        with openat2(root, path, os.O_PATH | os.O_NOFOLLOW, one_mount=True) as node:
            status = os.fstat(node.fileno())
            if stat.S_ISLNK(status.st_mode):
                return [LINK, os.readlink("", dir_fd=node.fileno())]
            if stat.S_ISREG(status.st_mode):
                return _text(node, status.st_mode)
    except FileNotFoundError:
        return [NOTHING]
    except OSError:
        pass
    return []


def _text(node: Fd, mode: int) -> list[str]:
    with Fd.open(node.path, os.O_RDONLY | os.O_NONBLOCK) as file:  # somebody inside may hold a lease on it
        data = os.pread(file.fileno(), MOST + 1, 0)
    sendable = len(data) <= MOST and b"\0" not in data
    return [FILE, f"{stat.S_IMODE(mode):o}", data.decode("utf-8", "surrogateescape")] if sendable else []


async def put_back(ct: Container, former: Mapping[str, list[str]]) -> None:
    """Each by itself.  Raises Failure, which tells of all that cannot be."""
    told = []
    for path, (kind, *what) in former.items():
        try:
            await _put(ct, path, kind, what)
        except (OSError, VzError) as error:
            told.append(f"{path}: {undo.text(error)}")
    if told:
        raise Failure(Exit.SYSTEM, "; ".join(told))


async def _put(ct: Container, path: str, kind: str, what: list[str]) -> None:
    if kind == NOTHING:
        if (record := ct.record) is not None:
            await bounded(lambda: _remove(record, path))
    elif kind == FILE:
        mode, data = what
        await sessions.link_of(ct).ask("write", path=path, mode=mode, data=data)
    elif kind == CALLED:
        await sessions.link_of(ct).ask("hostname", name=what[0])
    else:
        code = await sessions.quietly(ct, ["/bin/ln", "-sfn", *what, path])
        if code:
            raise Failure(Exit.SYSTEM, f"ln ended with code {code}")


def _remove(record: Record, path: str) -> None:
    """OSError; nothing to remove is none."""
    if not is_mounted(record.root):
        return
    folder, _, name = path.rpartition("/")
    try:
        with (
            _disk(record) as root,
            openat2(root, folder or ".", os.O_PATH | os.O_DIRECTORY, one_mount=True) as place,
        ):
            os.unlink(name, dir_fd=place.fileno())
    except FileNotFoundError:
        pass
