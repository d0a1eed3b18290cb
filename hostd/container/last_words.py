"""What a container's first console showed last: a memory file that PID 1 writes (vzinit/ring.py) and we hold too.

It is the standard error of PID 1 as well, so it tells why an init ended that never said a word on its channel.
"""

import os
import stat
import unicodedata

from hostd.kernel.fd import Fd

MOST = 64 * 1024  # bytes looked at
LONGEST = 400  # characters of a line


def create(owner: int) -> Fd:
    """An empty one for a container whose root is the host's user *owner*; CRIU saves no file of a stranger."""
    words = Fd(os.memfd_create("console", os.MFD_CLOEXEC), "last words")
    os.fchown(words.fileno(), owner, owner)
    return words


def is_memory(fd: Fd) -> bool:
    """False for what a container gives us instead of a memory file: reading a FIFO or FUSE may take for ever."""
    with Fd(os.memfd_create("like this", os.MFD_CLOEXEC)) as like:
        wanted, found = os.fstat(like.fileno()), os.fstat(fd.fileno())
    return found.st_dev == wanted.st_dev and stat.S_ISREG(found.st_mode)


def lines(words: Fd | None, count: int) -> list[str]:
    """The last *count* lines that are not blank, control characters made visible; [] without a readable file."""
    if words is None:
        return []
    try:
        end = os.fstat(words.fileno()).st_size
        data = os.pread(words.fileno(), MOST, max(0, end - MOST))
    except OSError:
        return []
    text = data.replace(b"\0", b"").decode("utf-8", "replace")
    shown = (visible(line.rstrip()) for line in text.split("\n"))
    return [line[:LONGEST] for line in shown if line][-count:]


def visible(text: str) -> str:
    """*text* that no terminal obeys: control and format characters as `\\x1b`; what a lone \\r overwrote stays."""
    return "".join(escaped(char) if unicodedata.category(char)[0] == "C" else char for char in text)


def escaped(char: str) -> str:
    return " " if char == "\t" else char.encode("unicode_escape").decode("ascii")
