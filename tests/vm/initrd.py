"""The initrd of one run, written here (newc cpio): busybox, a few modules, and the scripts of tests/vm/guest."""

import glob
import os
import stat

GUEST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest")
FOLDERS = ("bin", "dev", "proc", "sys", "root", "modules", "vm")
CONSOLE = os.makedev(5, 1)


class Cpio:
    """An archive in memory."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._entries = 0

    def add(self, name: str, mode: int, content: bytes = b"", device: int = 0) -> None:
        self._entries += 1
        encoded = name.encode() + b"\0"
        numbers = (
            self._entries, mode, 0, 0, 1, 0, len(content), 0, 0, os.major(device), os.minor(device), len(encoded), 0,
        )  # fmt: skip
        self._data += b"070701" + b"".join(b"%08X" % number for number in numbers)
        for part in (encoded, content):
            self._data += part
            self._data += bytes(-len(self._data) % 4)

    def finish(self) -> bytes:
        self.add("TRAILER!!!", 0)
        return bytes(self._data)


def initrd(kernel: str, command: str) -> bytes:
    """For the kernel directory *kernel*; *command* is a shell script that the agent runs."""
    archive = Cpio()
    for folder in FOLDERS:
        archive.add(folder, stat.S_IFDIR | 0o755)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=CONSOLE)
    for path in glob.glob(f"{kernel}/boot/*"):
        name = os.path.basename(path)
        archive.add(f"bin/{name}" if name == "busybox" else f"modules/{name}", stat.S_IFREG | 0o755, _read(path))
    archive.add("init", stat.S_IFREG | 0o755, _read(f"{GUEST}/init"))
    for path in glob.glob(f"{GUEST}/*"):
        archive.add(f"vm/{os.path.basename(path)}", stat.S_IFREG | 0o755, _read(path))
    archive.add("vm/command", stat.S_IFREG | 0o755, command.encode())
    return archive.finish()


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
