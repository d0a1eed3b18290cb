"""runscript, and the container without services and network that scripts and password changes get when theirs is down.
"""

import asyncio
import os
from collections.abc import Sequence
from types import TracebackType

from hostd.config.model import CtConfig
from hostd.container.container import Container
from hostd.container.ops import inside, mount, sessions, start, stop
from hostd.container.ops.sessions import Terminal
from hostd.container.report import to_log
from hostd.container.run import Run
from hostd.container.steps import Step
from hostd.errors import Exit, Failure
from hostd.kernel.mount import is_mounted, mounts_below


class SomehowRunning:
    """Inside of this a container runs: as it does already, or in setup mode for so long.

    One that is mounted is mounted again afterwards; mounts below would be lost, so it must have none: Failure(41).
    *steps*: of the setup mode.
    """

    def __init__(self, ct: Container, config: CtConfig, steps: Sequence[Step[Run]] = start.SETUP_STEPS) -> None:
        self._ct = ct
        self._config = config
        self._steps = steps
        self._ours = False
        self._mounted = False

    async def __aenter__(self) -> None:
        if not self._ct.running:
            self._mounted = await asyncio.to_thread(_mounted, self._config)
            await start.start(self._ct, self._config, to_log, steps=self._steps)
            self._ours = True

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._ours:
            return
        if self._ct.running:
            await stop.stop(self._ct, self._config.stop_timeout, to_log, fast=True)
        else:  # it has ended by itself, and whoever would clear that away waits for us
            await stop.leave(self._ct, to_log)
        if self._mounted:
            await mount.mount(self._ct, self._config, to_log)


def _mounted(config: CtConfig) -> bool:
    if not is_mounted(config.root):
        return False
    below = [point for point in mounts_below(config.root) if point != os.path.realpath(config.root)]
    if below:
        raise Failure(Exit.FS_MOUNTED, f"{below[0]} is mounted in CT {config.ctid}; unmount it first")
    return True


async def run_script(ct: Container, text: str, terminal: Terminal) -> int:
    """Run the text of a host's script inside; its first line may name the interpreter.  Returns its exit code."""
    async with inside.brought_in(ct, text) as candidates:
        return await sessions.execute(ct, candidates, None, terminal)
