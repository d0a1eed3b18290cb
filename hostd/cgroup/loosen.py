"""What may keep killed processes from ending: taken away, where nothing is ever to run again.

SIGKILL does not wake whom a freezer of v1 holds, nor who waits for a disk; and with next to no time of a processor
one ends next to never.  So none of these is left, whether the host set it or the guest in a cgroup of its own.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from hostd.cgroup import control, files
from hostd.cgroup.writes import V1_UNLIMITED

PATIENCE = 3.0  # seconds for one hierarchy: the guest may have made very many cgroups in it

Loose = Callable[[str], Iterator[str]]  # of what a file says: what is to be written, so that it binds nobody


def loosen(directory: Callable[[str], str | None]) -> None:
    """All below and with the cgroup that has its files of a controller in *directory* of that.  Best effort; a file
    that binds nobody is not written.
    """
    tops: dict[str, dict[str, Loose]] = {}
    for controller, bonds in _BONDS.items():
        if top := directory(controller):
            tops.setdefault(top, {}).update(bonds)
    for top, bonds in tops.items():
        with suppress(OSError):  # the rest of this hierarchy cannot be had; should somebody stay, the stop says so
            for here in _all(top):
                _loosen(here, bonds)


def _all(top: str) -> Iterator[str]:
    yield top  # first: with the host's own limits gone most have what they need
    for directory, name in control.walk(top, time.monotonic() + PATIENCE):
        yield f"/proc/self/fd/{directory}/{name}"


def _loosen(path: str, bonds: Mapping[str, Loose]) -> None:
    for name, loose in bonds.items():
        for value in loose(files.read_optional(f"{path}/{name}") or ""):
            with suppress(OSError):  # the disk is gone
                files.write(f"{path}/{name}", value)


def _one(free: str) -> Loose:
    """Of a file with one value."""

    def loose(text: str) -> Iterator[str]:
        if text and not text.startswith(free):
            yield free

    return loose


def _per_device(free: str) -> Loose:
    """Of a file with a line for each disk that is limited."""

    def loose(text: str) -> Iterator[str]:
        for line in text.splitlines():
            yield f"{line.split(' ')[0]} {free}"

    return loose


_THROTTLES = (f"blkio.throttle.{way}_{unit}_device" for way in ("read", "write") for unit in ("bps", "iops"))

# By the controller's name: v1 and v2 call them otherwise, but for one, and a file that is not there binds nobody.
_BONDS: Mapping[str, Mapping[str, Loose]] = {
    "cpu": {"cpu.max": _one("max"), "cpu.cfs_quota_us": _one(V1_UNLIMITED)},
    "io": {"io.max": _per_device("rbps=max wbps=max riops=max wiops=max")},
    "blkio": {name: _per_device("0") for name in _THROTTLES},
    "freezer": {"freezer.state": _one("THAWED")},  # last: then whoever could freeze again is dead
}
