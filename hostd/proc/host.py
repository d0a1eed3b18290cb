"""What the machine has, read again when it is older than a moment."""

import posix
import time

_ALL = 1 << 22  # bytes: the processors of a large machine fill a megabyte
_AGE = {"/proc/meminfo": 0.2, "/proc/cpuinfo": 60.0, "/proc/vmstat": 1e9, "/sys/devices/system/cpu/online": 5.0}


class Host:
    """Texts of the kernel's.  The names in them are asked for often and do not change; the figures may be that old."""

    def __init__(self) -> None:
        self._texts: dict[str, tuple[float, bytes]] = {}
        self._memory: tuple[bytes, dict[bytes, int]] = b"", {}

    def text(self, path: str) -> bytes:
        """The whole of *path*; b"" where this kernel has it not."""
        until, found = self._texts.get(path, (0.0, b""))
        now = time.monotonic()
        if now >= until:
            found = whole(path)
            if path in _AGE:
                self._texts[path] = now + _AGE[path], found
        return found

    def memory(self) -> "dict[bytes, int]":
        """meminfo in KiB, in the order of the kernel."""
        text = self.text("/proc/meminfo")
        if text is not self._memory[0]:
            lines = (line.split() for line in text.splitlines())
            self._memory = text, {words[0][:-1]: int(words[1]) for words in lines if len(words) > 1}
        return self._memory[1]

    def processors(self) -> int:
        return max(1, counted(self.text("/sys/devices/system/cpu/online")))

    def devices(self, numbers: "list[str]") -> "dict[str, str]":
        """MAJOR:MINOR -> name of a block device."""
        found = {}
        for number in numbers:
            try:
                found[number] = posix.readlink(f"/sys/dev/block/{number}").rpartition("/")[2]
            except OSError:
                continue  # it has gone; its counters stay
        return found


def whole(path: str) -> bytes:
    """A file of the kernel's from end to end: it gives a page of a list at a time, however much is asked for.

    b"" when it is not there; OSError when it goes meanwhile.
    """
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return b""
    try:
        parts, size = [], 0
        while size < _ALL and (more := posix.read(fd, 1 << 17)):
            parts.append(more)
            size += len(more)
        return b"".join(parts)
    finally:
        posix.close(fd)


def counted(text: bytes) -> int:
    """How many numbers a list like `0-3,8` names."""
    return sum([len(part) for part in _ranges(text)])


def numbers(text: bytes) -> list[int]:
    """Those that it names."""
    return [number for part in _ranges(text) for number in part]


def _ranges(text: bytes) -> list[range]:
    parts = [part.partition(b"-") for part in text.strip().split(b",")]
    return [range(int(first), int(last or first) + 1) for first, _, last in parts if first.isdigit()]


