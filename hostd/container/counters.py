"""The beancounters of running containers: held, the most, and refused.

Some are kept by the kernel (`hostd.cgroup.stats`).  The others are counted when somebody asks, in the processes and
the network namespace of the container (`_COUNTED`), by a worker thread; their maximum is the most that was ever seen.
What neither can tell is not there.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from functools import cache, cached_property

from hostd.cgroup import stats
from hostd.cgroup.stats import Counter
from hostd.cgroup.tree import CtCgroup
from hostd.config.values import PAGE
from hostd.container import socket_limits
from hostd.container.container import Container
from hostd.container.maxima import Maxima
from hostd.container.record import Record
from hostd.kernel import holdings
from hostd.kernel.fd import Fd
from hostd.kernel.namespace import namespace
from hostd.kernel.process import ended, pid_of
from hostd.net import sockets

Rows = dict[str, Counter]
Locks = Mapping[int, int] | None  # by pid
PATIENCE = 5.0  # seconds for the processes of one container: it can make each of them slow to read (65,536 groups)


class TooLong(Exception):
    """Nobody waits for this figure any longer."""


class Look:
    """At one container: what a worker thread needs of it, and finds out at most once."""

    def __init__(self, ct: Container, names: Set[str], locks: Callable[[], Locks]) -> None:
        assert ct.record is not None and ct.process is not None
        self.ct = ct
        self.names = names
        self.record = ct.record
        self.cgroup = CtCgroup(ct.world.tree, ct.ctid)
        self.locks = locks
        self._pidfd = ct.process.pidfd.dup()  # the container may be buried meanwhile

    @cached_property
    def pid(self) -> int:
        return pid_of(self._pidfd)

    @cached_property
    def netns(self) -> Fd:
        return namespace(self._pidfd, "net")

    @cached_property
    def _pids(self) -> tuple[list[int], float]:
        until = time.monotonic() + PATIENCE  # it may have made many cgroups, too
        return self.cgroup.procs(until), until

    @property
    def pids(self) -> Iterator[int]:
        """Of all its processes, as long as there is time for them.  Raises TooLong."""
        found, until = self._pids
        _in_time(until)  # else these are not all
        for pid in found:
            _in_time(until)
            yield pid

    @cached_property
    def statuses(self) -> list[holdings.Status]:
        return holdings.statuses(self.pids)

    @cached_property
    def open_sockets(self) -> sockets.Sockets | None:
        return sockets.sockets(self.pid)

    @cached_property
    def queues(self) -> sockets.Buffers | None:
        return sockets.buffers(self.netns, tcp=self.open_sockets is None or self.open_sockets.tcp > 0)

    @property
    def over(self) -> bool:
        """PID 1 has ended: what was counted may be of whoever has its number now."""
        return ended(self._pidfd)


def _in_time(until: float) -> None:
    if time.monotonic() > until:
        raise TooLong


def _of_sockets(pick: Callable[[sockets.Sockets], int]) -> Callable[[Look], int | None]:
    return lambda look: pick(look.open_sockets) if look.open_sockets is not None else None


def _of_buffers(pick: Callable[[sockets.Buffers], int]) -> Callable[[Look], int | None]:
    return lambda look: pick(look.queues) if look.queues is not None else None


def _signals(look: Look) -> int | None:
    """The kernel counts them by user, and those of a privileged container are the host's."""
    return holdings.queued_signals(look.statuses) if look.record.ids is not None else None


def _locks(look: Look) -> int | None:
    held = look.locks()
    return None if held is None else sum(held.get(pid, 0) for pid in look.pids)


_COUNTED: Mapping[str, Callable[[Look], int | None]] = {
    "dgramrcvbuf": _of_buffers(lambda found: found.datagrams_received),
    "lockedpages": lambda look: sum(one.locked for one in look.statuses) // PAGE,
    "numfile": lambda look: holdings.open_files(look.pids),
    "numflock": _locks,
    "numiptent": lambda look: sockets.rules(look.netns, look.pid),
    "numothersock": _of_sockets(lambda found: found.other),
    "numpty": lambda look: holdings.terminals(look.pids),
    "numsiginfo": _signals,
    "numtcpsock": _of_sockets(lambda found: found.tcp),
    "othersockbuf": _of_buffers(lambda found: found.other),
    "tcprcvbuf": _of_buffers(lambda found: found.tcp_received),
    "tcpsndbuf": _of_buffers(lambda found: found.tcp_sent),
}
# Limits of these are enforced where nothing counts what is refused.  Those of the others are not, and refuse nothing.
_REFUSED_UNSEEN = frozenset(("lockedpages", "numfile", "numpty", "numsiginfo"))


# Read at once.  Of others the kernel may have to make sums first, of thousands of cgroups that the guest has made.
_CHEAP = frozenset(("numproc",))


async def rows(wanted: Iterable[tuple[Container, Set[str]]]) -> dict[int, Rows]:
    """Of each container that runs the beancounters asked for, as far as they are known."""
    locks = cache(holdings.locks)  # the machine's: one look for all containers
    looks = [Look(ct, names, locks) for ct, names in wanted if names and ct.running and ct.record is not None]
    if any(look.names - _CHEAP for look in looks):
        found = await asyncio.to_thread(lambda: [_counted(look) for look in looks])
    else:
        found = [_counted(look) for look in looks]
    return {look.ct.ctid: _with_maxima(look, rows) for look, rows in zip(looks, found, strict=True)}


def _counted(look: Look) -> Rows:
    rows = {name: _own(look, name, row) for name, row in stats.counters(look.cgroup, look.names).items()}
    refused = socket_limits.failures(look.cgroup) if look.names & set(socket_limits.NAMES) else {}
    for name in sorted(look.names & _COUNTED.keys()):
        try:
            held = _COUNTED[name](look)
        except TooLong:
            continue
        except ProcessLookupError:
            return {}
        if held is not None:
            failcnt = None if name in _REFUSED_UNSEEN else refused.get(name, 0)
            rows[name] = Counter(held, failcnt=failcnt)
    return {} if look.over else rows


def _own(look: Look, name: str, row: Counter) -> Counter:
    """Processes of a restore were in the cgroup as well: a maximum of that time may not be the container's."""
    criu_s = name == "numproc" and row.maxheld is not None and row.maxheld <= look.record.peak
    return row._replace(maxheld=None) if criu_s else row


def _with_maxima(look: Look, rows: Rows) -> Rows:
    """By the event loop: nobody else notes, and the container that was looked at may have ended."""
    ct, record = look.ct, look.record
    if ct.record is not record:
        return {}
    maxima = _maxima(ct, record)
    maxima.note({name: row.held for name, row in rows.items() if row.maxheld is None})
    return {name: _whole(row, maxima.most.get(name, 0), record.counted.get(name)) for name, row in rows.items()}


def _maxima(ct: Container, record: Record) -> Maxima:
    if ct.maxima is None or ct.maxima.serial != record.serial:
        ct.maxima = Maxima.of(ct.world.paths, ct.ctid, record.serial)
    return ct.maxima


def _whole(row: Counter, seen: int, before: "list[int] | None") -> Counter:
    """*before*: the most and the refusals of the time before a checkpoint."""
    most, failures = before or (0, 0)
    kept = row.maxheld if row.maxheld is not None else max(row.held, seen)
    return Counter(row.held, max(kept, most), None if row.failcnt is None else row.failcnt + failures)


def totals(ct: Container) -> Callable[[], dict[str, list[int]]]:
    """What answers, in any thread, the most and the refusals so far, for a checkpoint: they go on after it.

    Nothing is counted for that.  Among the refusals are those whom the kernel killed for memory (`stats.OOM_KILLS`).
    """
    look = Look(ct, stats.KEPT, lambda: None)
    before, seen = look.record.counted, _maxima(ct, look.record).most

    def total() -> dict[str, list[int]]:
        refused = {**socket_limits.failures(look.cgroup), stats.OOM_KILLS: stats.kills(look.cgroup)}
        rows = {name: Counter(0, failcnt=refused.get(name, 0)) for name in {*before, *seen, *refused}} | _counted(look)
        whole = {name: _whole(row, seen.get(name, 0), before.get(name)) for name, row in rows.items()}
        return {name: [row.maxheld or 0, row.failcnt or 0] for name, row in whole.items()}

    return total
