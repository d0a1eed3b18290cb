"""Small helpers around raw descriptors.

vzinit keeps plain numbers: an Fd class is paid for in every container.
"""

import posix


def close(fd: int) -> None:
    """close(2), errors ignored: nothing can be done about them."""
    if fd >= 0:
        try:
            posix.close(fd)
        except OSError:
            pass


def close_all(fds: "list[int]") -> None:
    for fd in fds:
        close(fd)


def read_text(path: str) -> str:
    """The whole file as text (undecodable bytes survive); "" when it cannot be read."""
    try:
        return read_bytes(path).decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def read_bytes(path: str, limit: int = 1 << 20) -> bytes:
    """The first *limit* bytes of a file.  O_NONBLOCK, so that a FIFO put in its place cannot hang PID 1."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    try:
        content = b""
        while len(content) < limit:
            part = posix.read(fd, 65536)
            if not part:
                break
            content += part
        return content
    finally:
        posix.close(fd)


def write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[posix.write(fd, data) :]


def make_parents(path: str) -> None:
    """mkdir -p of the directory that holds *path*."""
    parts = path.split("/")[1:-1]
    for depth in range(1, len(parts) + 1):
        try:
            posix.mkdir("/" + "/".join(parts[:depth]), 0o755)
        except FileExistsError:
            pass


def read_file(path: str, most: int) -> bytes | None:
    """The first *most* bytes of the regular file *path*, None when there is none (a link is none)."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW | posix.O_NONBLOCK)
    except OSError:
        return None
    try:
        return posix.read(fd, most)
    except OSError:
        return None
    finally:
        posix.close(fd)


def overwrite(path: str, data: bytes) -> None:
    """Write to a file that is there, one of /proc's for one."""
    fd = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(fd, data)
    finally:
        posix.close(fd)


def write_file(path: str, data: bytes, mode: int = 0o644) -> None:
    """Replace *path* in one step: temporary file beside it, fsync, rename.

    A symlink at *path* is replaced.
    """
    make_parents(path)
    temporary = path + ".vz-new"
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC | posix.O_NOFOLLOW
    fd = posix.open(temporary, flags, 0o600)
    try:
        write_all(fd, data)
        posix.fchmod(fd, mode)
        posix.fsync(fd)
    except BaseException:
        posix.unlink(temporary)
        raise
    finally:
        posix.close(fd)
    posix.rename(temporary, path)


def is_dir(path: str) -> bool:
    try:
        return posix.stat(path).st_mode & 0o170000 == 0o040000
    except OSError:
        return False


def listdir(path: str) -> list[str]:
    """The names in a directory; none where it is none."""
    try:
        return posix.listdir(path)
    except OSError:
        return []


def is_link(path: str) -> bool:
    try:
        posix.readlink(path)
        return True
    except OSError:
        return False


def exists(path: str) -> bool:
    try:
        posix.stat(path)
        return True
    except OSError:
        return False


def is_program(path: str) -> bool:
    return posix.access(path, posix.X_OK) and not is_dir(path)


def inode(fd: int) -> int:
    return posix.fstat(fd).st_ino
