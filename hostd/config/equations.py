"""What must hold between the beancounters of a configuration, as OpenVZ's vzcfgvalidate has it: a table of checks.

Each check looks at the pairs (barrier, limit) by name, and finds either nothing or what is wrong and a pair that would
be right.  Later checks see what was put right before.  Pure.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from hostd.config import values
from hostd.config.values import UNLIMITED, Pair
from hostd.config.veconf import VeConf

Pairs = Mapping[str, Pair]


class Finding(NamedTuple):
    """*text* is one line, *right* what would put it right.  What is only recommended is no *problem*."""

    name: str
    text: str
    right: Pair
    problem: bool = True


Check = Callable[[Pairs], Finding | None]

_NEEDED = (
    *("numproc", "numtcpsock", "numothersock", "vmguarpages", "kmemsize", "tcpsndbuf", "tcprcvbuf", "othersockbuf"),
    *("dgramrcvbuf", "oomguarpages", "privvmpages", "lockedpages", "shmpages", "physpages", "numfile", "numflock"),
    *("numpty", "numsiginfo", "dcachesize", "numiptent"),
)
_DISK = ("diskspace", "diskinodes")


def pairs(conf: VeConf) -> dict[str, Pair]:
    """Of the parameters that *conf* has.  ValueError(text) for one that cannot be read."""
    found = {}
    for name in (*_NEEDED, "swappages", "avnumproc", *_DISK):
        text = conf.get(name.upper())
        if text:
            unit = values.disk_kib if name == "diskspace" else values.beancounter_unit(name)
            try:
                found[name] = values.bar_limit(text, unit)
            except ValueError as error:
                raise ValueError(f'{conf.place(name.upper())}: {name.upper()}="{text}": {error}') from error
    return found


def missing(found: Pairs, *, vswap: bool) -> list[str]:
    """The parameters without which nothing can be checked."""
    return [name for name in (("physpages", "swappages") if vswap else _NEEDED) if name not in found]


def checks(ram: int, swap: int, *, vswap: bool) -> Iterator[Check]:
    """In order; *ram* and *swap* of the host in pages."""
    if vswap:
        for name, most in (("physpages", ram), ("swappages", swap)):
            yield _nothing_below(name, f"Error: {name}.bar should be = 0 (currently, {{0}})")
            yield _at_most(name, most)
        return
    yield from _CLASSIC


# Checks


def _equal(name: str) -> Check:
    def check(found: Pairs) -> Finding | None:
        barrier, limit = found[name]
        if barrier == limit:
            return None
        text = f"Error: barrier should be equal to limit for {name} (currently, {barrier}:{limit})"
        return Finding(name, text, (max(barrier, limit),) * 2)

    return check


def _ordered(name: str) -> Check:
    def check(found: Pairs) -> Finding | None:
        if name not in found or found[name][0] <= found[name][1]:
            return None
        barrier, limit = found[name]
        text = f"Error: barrier should be <= limit for {name} (currently, {barrier}:{limit})"
        return Finding(name, text, (barrier, barrier))

    return check


def _without_limit(name: str) -> Check:
    def check(found: Pairs) -> Finding | None:
        barrier, limit = found[name]
        if limit == UNLIMITED:
            return None
        text = f"Error: limit should be = {UNLIMITED} for {name} (currently, {limit})"
        return Finding(name, text, (barrier, UNLIMITED))

    return check


def _nothing_below(name: str, text: str) -> Check:
    def check(found: Pairs) -> Finding | None:
        barrier, limit = found[name]
        return None if barrier == 0 else Finding(name, text.format(barrier), (0, limit))

    return check


def _at_most(name: str, most: int) -> Check:
    def check(found: Pairs) -> Finding | None:
        barrier, limit = found[name]
        if limit <= most:
            return None
        return Finding(name, f"Warning: {name}.lim should be <= {most} (currently, {limit})", (barrier, most))

    return check


def _limit_for(name: str, needed: Callable[[Pairs], int]) -> Check:
    def check(found: Pairs) -> Finding | None:
        (barrier, limit), least = found[name], needed(found)
        if limit >= least:
            return None
        return Finding(name, f"Warning: {name}.lim should be > {least} (currently, {limit})", (barrier, least))

    return check


def _barrier_for(name: str, needed: Callable[[Pairs], int], how: str = "Warning", *, what: str = ".bar") -> Check:
    """The limit moves with the barrier."""

    def check(found: Pairs) -> Finding | None:
        (barrier, limit), least = found[name], min(needed(found), UNLIMITED)
        if barrier >= least:
            return None
        right = (least, min(limit + least - barrier, UNLIMITED))
        text = f"{how}: {name}{what} should be > {least} (currently, {barrier})"
        return Finding(name, text, right, problem=how != "Recommendation")

    return check


def _datagrams(name: str) -> Check:
    """Room for one of any size is needed, for several is better."""
    needed = _barrier_for(name, lambda found: 32 * 1024)
    better = _barrier_for(name, lambda found: 129 * 1024, "Recommendation")
    return lambda found: needed(found) or better(found)


def _room(name: str, sockets: str, how: str) -> Check:
    """Between barrier and limit: 2.5 KiB for each socket."""

    def check(found: Pairs) -> Finding | None:
        (barrier, limit), least = found[name], min(found[sockets][0] * 2560, UNLIMITED)
        if limit == UNLIMITED or limit - barrier >= least:
            return None
        now = f"{limit}-{barrier}={limit - barrier}"
        text = f"{how}: {name}.lim-{name}.bar should be > {least} (currently, {now})"
        return Finding(name, text, (barrier, min(barrier + least, UNLIMITED)))

    return check


def _processes(found: Pairs) -> int:
    """How many there are on the average."""
    return found["avnumproc"][0] if "avnumproc" in found else found["numproc"][0] // 2


_FILES_OF_PROCESS, _KERNEL_OF_PROCESS, _CACHE_OF_FILE = 32, 40 * 1024, 384

_CLASSIC: tuple[Check, ...] = (
    *map(_equal, ("numproc", "numtcpsock", "numothersock")),
    _without_limit("vmguarpages"),
    *map(_ordered, ("kmemsize", "tcpsndbuf", "tcprcvbuf", "othersockbuf", "dgramrcvbuf")),
    _without_limit("oomguarpages"),
    *map(_ordered, ("privvmpages", "lockedpages")),
    _equal("shmpages"),
    _nothing_below("physpages", "Error: barrier should be = 0 for physpages (currently, {0})"),
    _without_limit("physpages"),
    _equal("numfile"),
    _ordered("numflock"),
    *map(_equal, ("numpty", "numsiginfo")),
    _ordered("dcachesize"),
    _equal("numiptent"),
    *map(_ordered, _DISK),
    _limit_for("dcachesize", lambda found: min(found["numfile"][0] * _CACHE_OF_FILE, UNLIMITED)),
    _barrier_for(
        "kmemsize", lambda found: _KERNEL_OF_PROCESS * _processes(found) + found["dcachesize"][1], "Error"
    ),
    _barrier_for("privvmpages", lambda found: found["vmguarpages"][0]),
    _room("tcpsndbuf", "numtcpsock", "Error"),
    _room("othersockbuf", "numothersock", "Error"),
    _room("tcprcvbuf", "numtcpsock", "Warning"),
    *(_barrier_for(name, lambda found: 64 * 1024) for name in ("tcprcvbuf", "tcpsndbuf")),
    *map(_datagrams, ("dgramrcvbuf", "othersockbuf")),
    _barrier_for(
        "numfile",
        lambda found: max(
            _processes(found) * _FILES_OF_PROCESS,
            sum(found[name][0] for name in ("numtcpsock", "numothersock", "numpty")),
        ),
        what="",
    ),
)
