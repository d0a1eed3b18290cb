"""A container as the daemon knows it: one action at a time, its record, its PID 1 and the channel to it.

The object itself decides nothing: operations (`ops/`) act on it, the daemon tells it what happened.
"""

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from hostd.config.lockfile import locked_by
from hostd.container import faults, last_words
from hostd.container.awake import Awake
from hostd.container.init_link import ChannelLost, InitLink, Message
from hostd.container.maxima import Maxima
from hostd.container.record import Record
from hostd.container.world import World
from hostd.kernel.fd import Fd
from hostd.kernel.namespace import namespace
from hostd.kernel.process import Process
from hostd.log import about, log
from hostd.proc.load import Loads

CLEARING = ("stop",)  # the daemon's own: what a container that ended by itself is cleared away with
BY_ITSELF = ("reboot", *CLEARING)  # or is started again with
MOST_NAMES, LONGEST_NAME = 20, 100  # of services that failed, in the log


class Ended(NamedTuple):
    """How PID 1 ended.  `reboot` when the container asked to be started again."""

    how: str  # "reboot", "halt", "died"
    text: str = ""


@dataclass
class OpenSession:
    """A command, login or script that runs inside for somebody outside."""

    number: int
    ended: "asyncio.Future[Message]"
    hangup: Callable[[], Awaitable[None]] | None = None  # of logins: makes the holder outside let go


@dataclass
class Container:
    """The actor of one container."""

    world: World
    ctid: int
    record: Record | None = None
    process: Process | None = None
    link: InitLink | None = None
    words: Fd | None = None  # what its console shows, readable after the death of PID 1: last_words
    action: str = ""  # the one that holds it, as a command line
    own: str = ""  # the daemon's own action, if one holds it: "stop" clears away what has ended by itself, "reboot"
    unwanted: asyncio.Event = field(default_factory=asyncio.Event)  # somebody stops it: no reboot starts it again
    stays_mounted: bool = False  # whoever stops it wants it so
    sessions: dict[int, OpenSession] = field(default_factory=dict)
    first_boot: "asyncio.Future[Sequence[str]] | None" = None  # what failed, once it is over
    awake: Awake = field(default_factory=Awake)
    maxima: Maxima | None = None  # of its beancounters, once somebody has asked for one
    load: Loads = field(default_factory=Loads)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _services: asyncio.Event = field(default_factory=asyncio.Event)
    _end: "asyncio.Future[Ended] | None" = None
    _events: dict[str, "asyncio.Future[Message]"] = field(default_factory=dict)
    # Numbers go on from where an earlier daemon may have been: its sessions may still be running inside.
    _next_session: int = field(default_factory=lambda: time.monotonic_ns() // 1000)

    # --- one action at a time -------------------------------------------------------------------------------

    @asynccontextmanager
    async def acting(
        self, action: str, *, wait: bool = False, after: tuple[str, ...] = CLEARING
    ) -> AsyncIterator[None]:
        """Hold the container for *action*.  A user's second action gets `Locked` at once; the daemon's own *wait*.

        *after*: own actions of the daemon that a user's waits for, since nobody sees them and nobody else could.
        """
        if self._lock.locked() and not (wait or self.own in after):
            raise locked_by(os.getpid(), self.action)
        async with self._lock:
            self.action = f"{'hostd' if wait else 'vzctl'} {action} {self.ctid}"
            self.own = action if wait else ""
            try:
                with about(self.ctid):
                    yield
            finally:
                self.action = self.own = ""

    async def settled(self) -> None:
        """Wait while the daemon itself clears it away or starts it again: it is neither up nor down then."""
        while self.own in BY_ITSELF:
            async with self._lock:
                pass

    # --- what it is -----------------------------------------------------------------------------------------

    @property
    def unsettled(self) -> bool:
        """It has ended, and is about to be started again, or nobody has seen to its end yet."""
        return self.own == "reboot" or (self.process is not None and not self.process.alive())

    @property
    def running(self) -> bool:
        """PID 1 lives and its start was completed (or is being completed by this daemon)."""
        return self.process is not None and self.process.alive()

    def netns(self) -> Fd:
        """The network namespace of PID 1, and never that of a later process with its number: ProcessLookupError."""
        if self.process is None:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH), f"PID 1 of CT {self.ctid}")
        return namespace(self.process.pidfd, "net")

    # --- PID 1 and its channel ------------------------------------------------------------------------------

    def born(self, process: Process) -> None:
        """PID 1 was spawned, restored or found again."""
        self.process = process
        self._services.clear()
        self._end = asyncio.get_running_loop().create_future()

    def connect(self, link: InitLink) -> None:
        """Use *link* from now on."""
        if self.link is not None:
            self.link.close()
        self.link = link

    def keep_link(self) -> None:
        """Let the keeper hold our end of the channel over our death."""
        assert self.link is not None and self.record is not None
        with self.link.fd as end:
            self.world.keeper.hold(self.record.link_name, end)

    async def fetch_words(self) -> None:
        """Get hold of the memory file behind the console again: after a restore, or a death of ours."""
        assert self.link is not None
        self.words = None
        try:
            given = (await self.link.ask("ring")).fds
        except OSError as error:  # the init of an earlier version
            log.info("the console is not kept: %s", error.strerror)
            return
        if given and last_words.is_memory(given[0]):
            self.words = given[0]

    def expect(self, verb: str) -> "asyncio.Future[Message]":
        """A future for the next event *verb* of vzinit; ask for it before the event can happen."""
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._events[verb] = future
        return future

    def on_event(self, message: Message) -> None:
        """vzinit said something that is not an answer."""
        future = self._events.pop(message.verb, None)
        if future is not None and not future.done():
            future.set_result(message)
        elif message.verb == "bye":
            self._about_to_leave(message.text("how"))
        elif message.verb == "ended":
            self._session_ended(message)
        elif message.verb == "running":
            self._services_started(message.fields.get("failed", [])[:MOST_NAMES])

    def _about_to_leave(self, how: str) -> None:
        """A reboot is noted: the container is started again even if nobody is left to see how PID 1 ends."""
        if self.record is None or self.record.announced or how not in ("reboot", "halt", "poweroff"):
            return
        self.record.announced = how
        if how == "reboot":
            self.record.try_save(self.world.paths)
            faults.point("reboot.announced")

    def _services_started(self, failed: list[str]) -> None:
        """Said once: a guest that repeats itself must not fill the log."""
        if any(failed) and not self._services.is_set():
            with about(self.ctid):
                log.warning("services that failed: %s", " ".join(name[:LONGEST_NAME] for name in failed))
        self._services.set()

    async def services_up(self) -> None:
        """Wait until vzinit has started every service."""
        await self._services.wait()

    def on_lost(self) -> None:
        """The channel broke; whether PID 1 lives is for its pidfd to say."""
        self.link = None
        for verb, waiting in self._events.items():
            if not waiting.done():
                waiting.set_exception(ChannelLost(f"waiting for {verb}"))
                waiting.exception()  # seen: whoever still waits gets it all the same
        self._events.clear()

    def unborn(self) -> None:
        """PID 1 ended while no daemon was there; that it did is still to be told."""
        self._end = asyncio.get_running_loop().create_future()

    async def dead(self) -> None:
        """Wait until PID 1 has ended.  How, `ended` says when the keeper has told: a moment later."""
        if self.process is None:
            return
        loop, pidfd, over = asyncio.get_running_loop(), self.process.fileno(), asyncio.Event()
        loop.add_reader(pidfd, over.set)
        try:
            await over.wait()
        finally:
            loop.remove_reader(pidfd)

    async def ended(self) -> Ended:
        """Wait until PID 1 has ended, and say how."""
        if self._end is None:
            return Ended("died", "it was not running")
        return await asyncio.shield(self._end)

    def gone(self, end: Ended) -> bool:
        """PID 1 ended.  Returns False when that was known already."""
        if self._end is None or self._end.done():
            return False
        self.awake.end()
        self._end.set_result(end)
        for session in list(self.sessions.values()):
            if not session.ended.done():
                session.ended.set_result(Message("ended", {"signal": ["9"]}))
        self.sessions.clear()
        return True

    def buried(self) -> None:
        """Nothing of this run is left."""
        self.awake.end()
        if self.link is not None:
            self.link.close()
        if self.process is not None:
            self.process.close()
        if self.words is not None:
            self.words.close()
        self.link = self.process = self.words = self._end = self.maxima = None
        self.record = None

    # --- sessions -------------------------------------------------------------------------------------------

    def take_number(self) -> int:
        """A number that no other session of this container has had from this daemon."""
        self._next_session += 1
        return self._next_session

    def open_session(self) -> OpenSession:
        """A number for a new session, and the future of its end."""
        session = OpenSession(self.take_number(), asyncio.get_running_loop().create_future())
        self.sessions[session.number] = session
        return session

    def _session_ended(self, message: Message) -> None:
        session = self.sessions.pop(message.number("id"), None)
        if session is not None and not session.ended.done():
            session.ended.set_result(message)
