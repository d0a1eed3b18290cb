"""What was set while a container was suspended.

It comes back with what it had: CRIU makes the processes that were saved, fills their memory, opens what they had open,
and with less than these take there would be no container.  Once it lives it gets the rest.  What cannot be given to it
is told, as at a start, and is not what the record says that it has.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from hostd.config import live
from hostd.config.model import CtConfig
from hostd.container import device_filter, device_nodes, devices, inner_limits, scratch
from hostd.container.host_side import limits_of, take_back_limits
from hostd.container.run import Run
from hostd.errors import Failure

# Of these it has the larger one at first, of what it had and what it is to have; None, no limit, is the largest.
_LARGER: Mapping[str, Callable[[CtConfig], int | None]] = {
    "NUMPROC": lambda one: one.numproc,
    "PHYSPAGES": lambda one: one.ram,
    "SWAPPAGES": lambda one: one.swap,
}
# Of these what it had: they are for who is inside.
_HAD = ("DEVICES", "DEVNODES", *(row.key for row in inner_limits.ROWS))
_OF_CRIU = 16  # processes that are in the container's cgroup beside its own while CRIU is at work


class Settings(NamedTuple):
    """What the container *had*, what is *wanted* of it by now, and what it comes back with: *first*, and its texts."""

    had: CtConfig
    wanted: CtConfig
    first: CtConfig
    texts: live.Texts


def settings(saved: live.Texts, wanted: live.Texts, most: int, meaning: Callable[[live.Texts], CtConfig]) -> Settings:
    """*saved* and *wanted* texts by key; *most*: the processes that it has had, which may be more than it may have."""
    had, gets = meaning(saved), meaning(wanted)
    larger = (key for key, of in _LARGER.items() if _exceeds(of(had), of(gets)))
    texts = {**wanted, **{key: saved[key] for key in (*larger, *_HAD) if key in saved}}
    processes = meaning(texts).numproc
    if processes is not None:
        texts["NUMPROC"] = str(max(processes, most) + _OF_CRIU)
    return Settings(had, gets, meaning(texts), texts)


def _exceeds(one: int | None, other: int | None) -> bool:
    return other is not None and (one is None or one > other)


async def limit(run: Run, these: Settings) -> None:
    """More processes than are allowed now stay; memory that is in use cannot be taken."""
    now, wanted = (limits_of(config, run.record) for config in (these.first, these.wanted))
    if now == wanted:
        return
    for what, failure in (await asyncio.to_thread(take_back_limits, run.cgroup, wanted, now)).items():
        _keep(run, these, what.split(" and "), failure)


async def give_devices(run: Run, these: Settings) -> None:
    """The nodes, and what may be opened."""
    had, wanted = these.had, these.wanted
    if (had.devices, had.devnodes) == (wanted.devices, wanted.devnodes):
        return
    gone, come = devices.difference(had, wanted)
    try:
        await device_nodes.exchange(run.ct, gone, come)
    except Failure as failure:
        await device_nodes.take_back(run.ct, gone, come)
        _keep(run, these, ("DEVICES", "DEVNODES"), failure)
    else:
        device_filter.protect(run.cgroup, devices.rules(wanted))


async def limit_inside(run: Run, these: Settings) -> None:
    for row in inner_limits.changed(these.had, these.wanted):
        try:
            await inner_limits.apply(run.ct, these.wanted, (row,))
        except Failure as failure:
            _keep(run, these, (row.key,), failure)
    await scratch.fit(run.ct)  # also where nothing was: an earlier hostd saved it, or another host with other RAM


def _keep(run: Run, these: Settings, keys: Iterable[str], failure: Failure) -> None:
    runs = run.record.live
    kept = {key: these.texts[key] for key in keys if these.texts[key] != runs[key]}
    runs |= kept
    if run.ct.running:  # else it has ended already; who reaches for it hears why
        told = " ".join(f'{key}="{text}"' for key, text in kept.items())
        run.report(f"Warning: {failure.message}; it keeps {told}")
