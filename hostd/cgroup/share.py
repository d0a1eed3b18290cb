"""What all containers together have of the processors, against the host: the weight of our directory.

To the kernel that is one neighbour of the host's processes, with one weight, whoever is below it.  OpenVZ had all side
by side: each container with its CPUUNITS, the host with VE0CPUUNITS.  So our directory has the sum of its containers',
in units of the host's, and what is beside it keeps the kernel's default.
"""

import os
import threading
from collections.abc import Callable
from typing import NamedTuple

from hostd.cgroup import control, files
from hostd.errors import VzError
from hostd.log import log

UNITS = 1000  # what the kernel's default weight is to OpenVZ, and of the host when nobody says otherwise
_LEAF = ".hostd"  # of `hostd.keeper.detach`: where hostd itself is, when somebody's session has started it


class Scale(NamedTuple):
    """A weight as the kernel has it: the file *name*, what a new cgroup has (OpenVZ's 1000), and how far it goes."""

    name: str
    default: int
    least: int
    most: int

    def within(self, weight: int) -> int:
        return max(self.least, min(weight, self.most))


V1 = Scale("cpu.shares", 1024, 2, 262144)
V2 = Scale("cpu.weight", 100, 1, 10000)


class Share:
    """The weight of the directory *root* (None: there are no weights here) beside a host with *host_units*.

    The kernel's files are the truth.  What they say is kept, because asking two hundred of them takes 5 ms, and one
    50 us: a change asks that container's, a new daemon all of them.
    """

    def __init__(self, root: Callable[[], str | None], scale: Scale, host_units: Callable[[], int]) -> None:
        self._root = root
        self._scale = scale
        self._host_units = host_units
        self._units = UNITS  # of the host, the last time that they could be read
        self._weights: dict[int, int] | None = None  # of each container; None: nobody has looked yet
        self._told = ""
        self._one_at_a_time = threading.Lock()  # from looking to writing: limits are set by several threads

    def look(self, ctid: int | None = None) -> None:
        """Container *ctid* has another weight, or is gone; None: any of them, or the host.

        What the kernel refuses is no reason not to start: it is one line in the log.
        """
        with self._one_at_a_time:
            try:
                if root := self._root():
                    self._note(root, ctid)
                    control.write_if_there(f"{root}/{self._scale.name}", str(self._due(root)))
                self._told = ""
            except OSError as error:
                self._weights = None  # the next look is at all
                where = error.filename or "a cgroup"
                self._tell(f"CPUUNITS do not hold against the host: {where}: {error.strerror}")

    def _note(self, root: str, ctid: int | None) -> None:
        if ctid is None or self._weights is None:
            names = [int(name) for name in _names(root) if name.isdecimal()]
            self._weights = {one: self._weight(f"{root}/{one}") for one in names}
        elif weight := self._weight(f"{root}/{ctid}"):
            self._weights[ctid] = weight
        else:
            self._weights.pop(ctid, None)

    def _due(self, root: str) -> int:
        total = sum((self._weights or {}).values())
        if not total:
            return self._scale.default
        # Never less than hostd would have by itself: with one container of few units it could hardly serve any more.
        total = max(total, self._weight(f"{root}/{_LEAF}"))
        return self._scale.within(round(total * UNITS / self._of_the_host()))

    def _weight(self, path: str) -> int:
        """0 when it is gone."""
        return int(files.read_optional(f"{path}/{self._scale.name}") or 0)

    def _of_the_host(self) -> int:
        """A file that cannot be read now has been read before: a container stops all the same."""
        try:
            self._units = self._host_units()
        except VzError as error:
            log.info("the host's CPU weight stays %d: %s", self._units, error.message)
        return self._units

    def _tell(self, text: str) -> None:
        """Once, and not at each start."""
        if text != self._told:
            log.warning("%s", text)
        self._told = text


def _names(root: str) -> list[str]:
    try:
        return os.listdir(root)
    except FileNotFoundError:  # no container has been there yet
        return []
