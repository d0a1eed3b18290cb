"""Load averages of containers, from a look at those that run every few seconds, and whenever somebody asks.

The estimate is that of /proc/loadavg inside (`hostd.proc.load`).  A look is two small files; of a container that ran
before this daemon the first one tells the mean since its start or restore.
"""

import asyncio
import time
from collections.abc import Callable, Iterable

from hostd.cgroup import activity
from hostd.cgroup.tree import CtCgroup
from hostd.container.container import Container
from hostd.log import about, log

PERIOD = 15.0  # seconds: a quarter of the shortest average


async def watch(running: Callable[[], Iterable[Container]]) -> None:
    """For ever."""
    while True:
        for ct in running():
            with about(ct.ctid):
                try:
                    averages(ct)
                except OSError as error:  # as of too many open files: there is a next look
                    log.warning("its load: %s", error)
            await asyncio.sleep(0)  # it may have made thousands of cgroups, and the kernel has to make a sum
        await asyncio.sleep(PERIOD)


def averages(ct: Container) -> tuple[float, float, float] | None:
    """Of one, five and fifteen minutes, as of now; None: it does not run, or its work is not counted here."""
    work = activity.work(CtCgroup(ct.world.tree, ct.ctid))
    if ct.record is None or work is None:
        return None
    up = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - ct.record.serial  # the work is counted anew after a restore
    return ct.load.averages("", up, work)
