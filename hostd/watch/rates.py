"""From two samples to what happens per second."""

from collections.abc import Sequence
from typing import NamedTuple

from hostd.watch.sample import Container, Sample


class Row(NamedTuple):
    """A container in the view.  *cpu*: percent of one processor; *read* to *went*: bytes per second; *pressure*:
    percent of the last ten seconds, the worst of its resources.  None: not known (yet).  *failed*: refusals in between.
    """

    container: Container
    cpu: float | None
    read: float | None
    written: float | None
    came: float | None
    went: float | None
    pressure: float | None
    failed: int

    @property
    def io(self) -> float | None:
        return _sum(self.read, self.written)

    @property
    def net(self) -> float | None:
        return _sum(self.came, self.went)


def rows(before: Sample | None, now: Sample) -> list[Row]:
    """One for each container of *now*; rates need that it ran *before*, and was neither started nor restored since."""
    then = {one.ctid: one for one in before.containers} if before else {}
    seconds = now.at - before.at if before else 0.0
    return [_row(then.get(one.ctid), one, seconds) for one in now.containers]


def _row(then: Container | None, now: Container, seconds: float) -> Row:
    same = then is not None and then.running and now.running and now.serial == then.serial and seconds > 0

    def rate(old: float | None, new: float | None) -> float | None:
        return None if not same or old is None or new is None else max(0.0, (new - old) / seconds)

    old = then if then is not None and same else now
    cpu = rate(old.cpu, now.cpu)
    known: Sequence[float] = [share for share in now.pressure.values() if share is not None]
    return Row(
        container=now,
        cpu=None if cpu is None else cpu * 100,
        read=rate(old.read, now.read),
        written=rate(old.written, now.written),
        came=rate(old.came, now.came),
        went=rate(old.went, now.went),
        pressure=max(known, default=None) if now.running else None,
        failed=max(0, now.refused - old.refused),
    )


def _sum(*parts: float | None) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known else None
