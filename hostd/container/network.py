"""What the host's network needs once before the first container: forwarding, anti-spoofing, warm libraries."""

import asyncio
from collections.abc import Callable

from hostd.config.model import GlobalConfig
from hostd.net import protect, venet


class HostNetwork:
    """Made ready by whoever needs it first; everybody else waits for the same."""

    def __init__(self, load_globals: Callable[[], GlobalConfig]) -> None:
        self._load_globals = load_globals
        self._lock = asyncio.Lock()
        self._ready = False

    async def ready(self) -> None:
        """Forward, and drop what containers send with foreign addresses.  Raises Failure when that cannot be had:
        a container must not start unprotected.
        """
        async with self._lock:
            if not self._ready:
                await asyncio.gather(protect.install(nat=self._load_globals().nat), venet.warm())
                self._ready = True
