"""The files: for each the function that makes its text for one container."""

import time

from hostd.proc import figures, openvz, texts
from hostd.proc.effort import Effort
from hostd.proc.host import Host, whole
from hostd.proc.load import Loads
from hostd.proc.points import ADDRESSES, BEANCOUNTERS, POINTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hostd.proc.caller import Cgroups, Group

_FRESH = 0.01  # seconds: whoever reads in a loop does not keep the others waiting
_REMEMBERED = 256  # texts: what is forgotten has to be made again, however dear it was
_SECOND, _TICK = 10**9, 10**9 // figures.TICKS


class Files:
    def __init__(self, cgroups: "Cgroups") -> None:
        self._cgroups = cgroups
        self._host = Host()
        self._loads = Loads()
        self._recent: dict[tuple[str, str], tuple[float, bytes]] = {}
        self._rests: dict[str, tuple[float, float]] = {}  # of containers that were dear to look at: since, until when

    def text(self, name: str, pid: int) -> bytes:
        """*name* as process *pid* of the host's numbering sees it.  Raises OSError when it cannot be told who it is."""
        group = self._cgroups.of(pid)
        if group is None:
            return whole(POINTS[name]) if name in POINTS else b""
        key = group.number, name
        made, text = self._recent.pop(key, (0.0, b""))
        if not self._serves(group.number, made):
            effort = Effort()  # a guest may have made thousands of cgroups, of which the kernel makes one sum
            text = getattr(self, f"_{name}")(group)
            made = time.monotonic()
            self._rest(group.number, made, effort.rest())
        self._recent[key] = made, text
        if len(self._recent) > _REMEMBERED:
            del self._recent[next(iter(self._recent))]
        return text

    def _serves(self, number: str, made: float) -> bool:
        """A text of container *number* that was *made* then: as long as it is fresh, or that container rests."""
        now = time.monotonic()
        since, until = self._rests.get(number, (now, 0.0))
        return now <= made + _FRESH or (made >= since and now <= until)

    def _rest(self, number: str, made: float, seconds: float) -> None:
        """Each text that was dear to make lets all serve longer that were made since the first one of them."""
        for other in [other for other, (_, until) in self._rests.items() if until < made]:
            del self._rests[other]
        if seconds:
            since, until = self._rests.get(number, (made, made))
            self._rests[number] = since, until + seconds

    def of_the_host(self, pid: int) -> bool:
        return self._cgroups.of(pid) is None

    def _meminfo(self, group: "Group") -> bytes:
        return texts.meminfo(self._host.memory(), figures.memory(group, self._host))

    def _swaps(self, group: "Group") -> bytes:
        return texts.swaps(*figures.swap(group, self._host))

    def _vmstat(self, group: "Group") -> bytes:
        names = self._host.text(POINTS["vmstat"]).split()[::2]
        return texts.vmstat(names, figures.memory(group, self._host), figures.transfers(group))

    def _cpuinfo(self, group: "Group") -> bytes:
        return texts.cpuinfo(self._host.text(POINTS["cpuinfo"]), self._processors(group))

    def _online(self, group: "Group") -> bytes:
        allowed = figures.allowed(group)
        return texts.online(figures.processors(group, self._host, allowed), allowed)

    def _processors(self, group: "Group") -> int:
        return figures.processors(group, self._host, figures.allowed(group))

    def _stat(self, group: "Group") -> bytes:
        user, system = figures.busy(group)
        return texts.stat(self._processors(group), user, system, figures.uptime(group), figures.booted(group))

    def _uptime(self, group: "Group") -> bytes:
        return texts.uptime(figures.uptime(group), self._processors(group), sum(figures.busy(group)))

    def _loadavg(self, group: "Group") -> bytes:
        work = sum(figures.busy(group)) * _TICK + figures.waited(group)
        averages = self._loads.averages(group.number, figures.uptime(group), work)
        return texts.loadavg(averages, figures.processes(group))

    def _diskstats(self, group: "Group") -> bytes:
        disks = figures.transfers(group)
        return texts.diskstats(self._host.devices(list(disks)), disks)

    def _user_beancounters(self, group: "Group") -> bytes:
        return group.noted_text(BEANCOUNTERS)

    def _veinfo(self, group: "Group") -> bytes:
        return openvz.veinfo(int(group.number), figures.processes(group), _addresses(group))

    def _veip(self, group: "Group") -> bytes:
        return openvz.veip(int(group.number), _addresses(group))

    def _vestat(self, group: "Group") -> bytes:
        up, count = figures.uptime(group), self._processors(group)
        return openvz.vestat(int(group.number), *figures.busy(group), up, count)

    def _version(self, group: "Group") -> bytes:
        return openvz.version()

    def _vswap(self, group: "Group") -> bytes:
        return b""  # that it is there says all


def _addresses(group: "Group") -> "list[str]":
    return group.noted_text(ADDRESSES).decode("ascii", "replace").split()
