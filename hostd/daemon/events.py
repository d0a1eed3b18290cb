"""What happens to containers, for whoever listens.  Nothing is made, and nothing kept, when nobody does."""

import asyncio
import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass

from hostd.command.host import Event
from hostd.log import log


@dataclass(frozen=True, slots=True, eq=False)
class Listener:
    """*ctids* empty: of all containers."""

    ctids: Set[int]
    hear: Callable[[Event], None]

    def wants(self, ctid: int) -> bool:
        return not self.ctids or ctid in self.ctids

    def tell(self, ctid: int, event: str, **more: object) -> None:
        if self.wants(ctid):
            self.hear({"time": now(), "ctid": ctid, "event": event, **more})


class Events:
    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._stirred: list[asyncio.Event] = []

    def stirring(self) -> asyncio.Event:
        """Set from now on, for as long as the daemon lives, whenever it did or saw something; who asked clears it."""
        self._stirred.append(asyncio.Event())
        return self._stirred[-1]

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def tell(self, ctid: int, event: str, **more: object) -> None:
        for listener in self._listeners:
            try:
                listener.tell(ctid, event, **more)
            except OSError as error:  # as of too many open files: what happened has happened
                log.warning("%s of CT %d was not heard: %s", event, ctid, error)
        self.stir()

    def stir(self) -> None:
        """What there is to be looked at has changed, and is nothing to tell."""
        for one in self._stirred:
            one.set()


def now() -> str:
    """As in the log, and to the millisecond."""
    seconds = time.time()
    there = time.localtime(seconds)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', there)}.{int(seconds % 1 * 1000):03d}{time.strftime('%z', there)}"
