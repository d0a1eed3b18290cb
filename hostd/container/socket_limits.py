"""Limits of IP sockets (NUMTCPSOCK, NUMOTHERSOCK): BPF programs on the container's cgroup in the unified tree.

They are there while one of the limits is, and hold the counts; a hostd that comes later finds them at the cgroup.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import NamedTuple

from hostd.cgroup.tree import CtCgroup
from hostd.checkpoint.aside import bounded, commit
from hostd.config import bounds, values
from hostd.config.model import CtConfig
from hostd.container import faults
from hostd.container.record import Record
from hostd.errors import Exit, Failure
from hostd.kernel import bpf, descriptors, socket_programs
from hostd.kernel.bpf import Hook
from hostd.kernel.fd import Fd
from hostd.kernel.socket_parts import ROWS
from hostd.kernel.socket_programs import CREATE, INCOMING, MARK, RELEASE, STATES, Maps

NAMES = ("numtcpsock", "numothersock")  # in the order of ROWS
PATIENCE = 30.0  # seconds, to look at all that a container's processes have open
_UNLIMITED = 2**64 - 1
_COUNTING = (RELEASE, STATES, MARK, CREATE)  # what counts off is there before anything counts on


class SocketLimits(NamedTuple):
    """None: no limit."""

    tcp: int | None = None
    other: int | None = None

    def __str__(self) -> str:
        given = zip(NAMES, self, strict=True)
        return ", ".join(f"{name.upper()} to {'unlimited' if most is None else most}" for name, most in given)


NONE = SocketLimits()
COUNTED = SocketLimits(_UNLIMITED, _UNLIMITED)  # nothing is refused, and a limit that comes later knows of all


def of(config: CtConfig) -> SocketLimits:
    return SocketLimits(config.numtcpsock, config.numothersock)


def given(texts: Mapping[str, str]) -> bool:
    """One of them is among what a container has (`Record.live`), where nothing has to be asked of the kernel.

    What an older hostd has not noted may be one.
    """
    return any(_limits(texts.get(name.upper())) for name in NAMES)


def _limits(text: str | None) -> bool:
    if not text:
        return text is None
    try:
        return bounds.limit(text, values.items) is not None
    except ValueError:
        return True


async def give(cgroup: CtCgroup, record: Record, limits: SocketLimits) -> None:
    """As `put`.  Raises Failure(SETUBC) as well when the sockets that there are cannot be counted: somebody inside may
    keep one locked.
    """
    try:
        await bounded(lambda: put(cgroup, record, limits), PATIENCE)
    except TimeoutError as error:
        raise Failure(Exit.SETUBC, f"cannot set {limits}: its sockets do not answer") from error


def put(cgroup: CtCgroup, record: Record, limits: SocketLimits) -> None:
    """Make *limits* those of the container, whatever it has; sockets that it has already count.

    What was refused so far is noted in *record* when nothing counts any longer.  Raises Failure(SETUBC), and then
    the container has what it had.
    """
    directory = cgroup.unified()
    if directory is None:
        if limits != NONE:
            raise Failure(Exit.BAD_KERNEL, "no cgroup2 tree is mounted: sockets cannot be limited")
        return
    try:
        with directory:
            if limits == NONE:
                _end(directory, record)
            else:
                _limit(cgroup, directory, limits)
    except OSError as error:
        raise Failure(Exit.SETUBC, f"cannot set {limits}: {error.strerror}") from error


def failures(cgroup: CtCgroup) -> dict[str, int]:
    """What was refused since the limits are there; nothing without limits."""
    try:
        directory = cgroup.unified()
        if directory is None:
            return {}
        with directory:
            maps = Maps.at(directory)
            return _refused(maps) if maps is not None else {}
    except OSError:  # the cgroup is gone
        return {}


def _refused(maps: Maps) -> dict[str, int]:
    numbers = bpf.read_numbers(maps.counts, 2 * len(ROWS))
    return dict(zip(NAMES, numbers[len(ROWS) :], strict=True))


def _limit(cgroup: CtCgroup, directory: Fd, limits: SocketLimits) -> None:
    """The sockets that were there before the programs mark themselves.  What only waits to be accepted, or is on its
    way from one process to another, is not found and stays uncounted.
    """
    with ExitStack() as undos:
        maps = Maps.at(directory)
        if maps is None:
            maps = Maps.new()
            _write(maps, COUNTED)
            for hook in _COUNTING:
                _attach(hook, directory, maps, undos)
                faults.point("sockets.attached")
        if bpf.attached(MARK, directory) is not None:
            descriptors.ask_sockets(cgroup.procs(), socket_programs.MARKING)
            if not commit():
                undos.pop_all()  # who has waited for that took all of it back
                return
            bpf.detach(MARK, directory)
        if limits.tcp is None:
            bpf.detach(INCOMING, directory)
        elif bpf.attached(INCOMING, directory) is None:
            _attach(INCOMING, directory, maps, undos)
        faults.point("sockets.counted")
        _write(maps, limits)
        undos.pop_all()


def _attach(hook: Hook, directory: Fd, maps: Maps, undos: ExitStack) -> None:
    with socket_programs.load_program(hook, maps) as program:
        bpf.attach(hook, directory, program)
    undos.callback(bpf.detach, hook, directory)


def _write(maps: Maps, limits: SocketLimits) -> None:
    bpf.write_numbers(maps.limits, *(_UNLIMITED if most is None else most for most in limits))


def _end(directory: Fd, record: Record) -> None:
    """What makes a count grow goes first: half of this, or of `_limit`, refuses nothing."""
    maps = Maps.at(directory)
    for hook in (INCOMING, CREATE, STATES, RELEASE, MARK):
        bpf.detach(hook, directory)
        faults.point("sockets.detached")
    if maps is not None:
        for name, number in _refused(maps).items():
            most, before = record.counted.get(name, [0, 0])
            record.counted[name] = [most, before + number]
