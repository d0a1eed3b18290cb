"""Whose process asks: from its number to the container's cgroup, and the files of that cgroup.

Nothing of what the container says is believed or opened: the kernel tells the number of the process and its cgroups,
and the host made those.
"""

import posix

_MOST = 65536  # bytes of a cgroup list: the paths of a process of a container are the container's to make long


def read(path: str, most: int = _MOST) -> bytes:
    """The text of a file of the kernel's; OSError."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(fd, most)
    finally:
        posix.close(fd)


class Cgroups:
    """Where the hierarchies are: *places* has a directory for each v1 controller, and "unified" for that of v2.

    *root* is the cgroup that every container's is in.  Where there is anything of v1, hostd limits by v1 alone.
    """

    def __init__(self, root: str, places: "dict[str, str]") -> None:
        self.v1 = any(name != "unified" for name in places)
        self._unified = places.get("unified", "")
        self._places = {name: f"{place}/{root}" for name, place in places.items()}
        self._mark = f":/{root}/".encode()

    def of(self, pid: int) -> "Group | None":
        """The container of process *pid*; None for one of the host's.  Raises OSError for one that cannot be told."""
        number = number_in(read(f"/proc/{pid}/cgroup"), self._mark)
        return Group(self, number) if number else None

    def directory(self, controller: str, number: str) -> str:
        """Without v1 everything is in the unified tree, with it nothing that v1 has files for."""
        place = self._places.get(controller) or self._places.get("unified", "")
        return f"{place}/{number}"


def number_in(text: bytes, mark: bytes) -> str:
    """The container in a process's list of cgroups, "" for none: the name that follows *mark* at the head of a path.

    The first path is looked at, and the rest of each only where a line begins: guests choose what is in it.
    """
    for line in text.split(b"\n"):
        colon = line.find(b":", line.find(b":") + 1)
        if colon > 0 and line.startswith(mark, colon):
            number = line[colon + len(mark) :].partition(b"/")[0]
            if number.isdigit():
                return number.decode()
    return ""


class Group:
    """The cgroups of one container."""

    __slots__ = ("_cgroups", "number", "v1")

    def __init__(self, cgroups: Cgroups, number: str) -> None:
        self._cgroups = cgroups
        self.number = number
        self.v1 = cgroups.v1

    def read(self, controller: str, name: str) -> bytes:
        """A file of its; b"" when this kernel or this host has it not."""
        try:
            return read(f"{self.directory(controller)}/{name}")
        except OSError:
            return b""

    def directory(self, controller: str) -> str:
        return self._cgroups.directory(controller, self.number)

    def noted(self, name: str) -> int:
        """What the host has noted at its cgroup under *name*; 0: nothing.  Less than that is a time before the host's
        boot, in which a container was started that was restored here.
        """
        try:
            return int(self.noted_text(name))
        except ValueError:
            return 0

    def noted_text(self, name: str) -> bytes:
        """As text; b"": nothing."""
        try:
            return posix.getxattr(self.directory("unified"), name)
        except OSError:
            return b""
