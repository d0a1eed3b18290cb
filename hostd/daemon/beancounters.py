"""What /proc/user_beancounters says inside of those containers that have it: left at their cgroups, for the server of
/proc files, which waits for nobody.

It is there before they run.  From then on each is looked at when the daemon has done something, and once a second, or
as often as takes its part of a hundredth of the time: of some beancounters all that processes hold has to be counted.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from hostd.cgroup import notes
from hostd.cgroup.tree import CtCgroup
from hostd.command import user_beancounters
from hostd.command.figures import Counter, Usage
from hostd.command.host import Host
from hostd.command.tools.running import counted, row
from hostd.container.container import Container
from hostd.container.record import Record
from hostd.daemon.events import Events
from hostd.errors import VzError
from hostd.log import about, log

PERIOD = 1.0  # seconds from one look to the next
SHARE, BUSY = 0.01, 0.1  # of the time, at most: as a rule, and while there is much to do


async def watch(host: Host, events: Events, running: Callable[[], Iterable[Container]]) -> None:
    """For ever.  Each container by itself: it can make looking at it slow, and the others do not wait for that."""
    stirred = events.stirring()
    signs: dict[int, asyncio.Event] = {}  # by the serial number of a start
    async with asyncio.TaskGroup() as group:
        while True:
            stirred.clear()
            for ct in running():
                if ct.record is not None and ct.record.openvz and ct.record.serial not in signs:
                    group.create_task(_follow(host, ct, ct.record, signs))
                    signs[ct.record.serial] = asyncio.Event()
            for sign in signs.values():
                sign.set()
            await stirred.wait()


async def _follow(host: Host, ct: Container, record: Record, signs: dict[int, asyncio.Event]) -> None:
    """One container, to its end."""
    sign = signs[record.serial]
    while ct.record is record and ct.running:
        sign.clear()
        began = time.monotonic()
        await note(host, ct)
        spent = (time.monotonic() - began) * len(signs)
        await asyncio.sleep(spent / BUSY)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(PERIOD, spent / SHARE)):
                await sign.wait()
    del signs[record.serial]


async def note(host: Host, ct: Container) -> None:
    """What *ct* has now; before it runs, what it had until its checkpoint."""
    record = ct.record
    if record is None:  # it has ended while others were looked at
        return
    with about(ct.ctid):
        try:
            rows = await counted(host, [row(host, ct.ctid)], user_beancounters.NAMES)
            if not ct.running:
                rows = [one._replace(usage=_before(record)) for one in rows]
        except (VzError, OSError) as error:
            log.debug("its beancounters are not told: %s", error)
            return
        except RuntimeError as error:  # no thread can be made: who waits for the next look misses this one
            log.warning("its beancounters are not told: %s", error)
            return
    if ct.record is record:
        notes.openvz(CtCgroup(ct.world.tree, ct.ctid), user_beancounters.text(rows), record.addresses)


def _before(record: Record) -> Usage:
    return Usage(counters={name: Counter(0, most, failures) for name, (most, failures) in record.counted.items()})
