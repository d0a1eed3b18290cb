"""When a container can be talked to: from the end of its start to that of its PID 1, but for checkpoints.

Who follows it over its ends and starts, as somebody at its console does, waits here for the next time.
"""

import asyncio

from hostd.errors import Exit, Failure


class Awake:
    """Times are counted: one that begins and ends while nobody looks is another one all the same."""

    def __init__(self) -> None:
        self.now = False
        self._over = False
        self._times = 0
        self._news = asyncio.Event()

    def begin(self) -> None:
        self.now = True
        self._times += 1
        self._wake()

    def end(self) -> None:
        self.now = False

    def give_up(self) -> None:
        """hostd leaves: the next time is the next daemon's."""
        self._over = True
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news.clear()  # who waits has been woken

    async def after(self, seen: int) -> int:
        """Wait for a time later than the *seen*-th, the present one included; which one it is.

        Raises Failure(3) when hostd leaves before.
        """
        while not self.now or self._times == seen:
            if self._over:
                raise Failure(Exit.SYSTEM, "hostd leaves and waits for nothing any more")
            await self._news.wait()
        return self._times
