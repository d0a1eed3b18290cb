"""The time of processors that a container may use: cpu.cfs_quota_us of v1, cpu.max of v2.

On v2 the smaller limit counts, of a cgroup and of those above it.  On v1 the kernel refuses a quota that is smaller
than one below: so whoever has more there has no quota of its own from then on, which is to have the container's.
"""

from collections.abc import Iterator
from functools import partial

from hostd.cgroup import control, files
from hostd.cgroup.writes import V1_UNLIMITED, Write

WHAT = "CPULIMIT and CPUS"
PERIOD = 100_000  # microseconds: the kernel's default
_QUOTA, _PERIOD = "cpu.cfs_quota_us", "cpu.cfs_period_us"


def v1(path: str, percent: int) -> Iterator[Write]:
    """*percent* of one processor, 0: no limit."""
    for directory, name in _larger(path, percent):
        if file := control.path_in(directory, name, _QUOTA):
            yield Write(file, V1_UNLIMITED, WHAT, inner=True)
    value = _time(percent) if percent else V1_UNLIMITED
    yield Write(f"{path}/{_QUOTA}", value, WHAT, shrink=partial(_give_up, path, percent))


def v2(path: str, percent: int) -> Iterator[Write]:
    yield Write(f"{path}/cpu.max", f"{_time(percent) if percent else 'max'} {PERIOD}", WHAT)


def _time(percent: int) -> str:
    return str(percent * PERIOD // 100)


def _larger(path: str, percent: int) -> Iterator[tuple[int, str]]:
    """The cgroups below *path* with a quota above *percent*, as `control.walk` has them."""
    for directory, name in control.walk(path) if percent else ():
        here = f"/proc/self/fd/{directory}/{name}"
        quota, period = (int(files.read_optional(f"{here}/{file}") or -1) for file in (_QUOTA, _PERIOD))
        if quota * 100 > percent * period > 0:
            yield directory, name


def _give_up(path: str, percent: int) -> None:
    """What is too deep for a path, or has come meanwhile.  That the guest does not get back."""
    for directory, name in _larger(path, percent):
        control.write_if_there(f"/proc/self/fd/{directory}/{name}/{_QUOTA}", V1_UNLIMITED)
