"""runscript, and the container without services that scripts and password changes get when theirs is down."""

from types import TracebackType

from hostd.config.model import CtConfig
from hostd.container.container import Container
from hostd.container.ops import inside, sessions, start, stop
from hostd.container.ops.sessions import Terminal
from hostd.container.report import to_log


class SomehowRunning:
    """Inside of this a container runs: as it does already, or in setup mode, without its services, for so long."""

    def __init__(self, ct: Container, config: CtConfig) -> None:
        self._ct = ct
        self._config = config
        self._ours = False

    async def __aenter__(self) -> None:
        if not self._ct.running:
            await start.start(self._ct, self._config, to_log, setup=True)
            self._ours = True

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ours and self._ct.running:
            await stop.stop(self._ct, self._config.stop_timeout, to_log, fast=True)


async def run_script(ct: Container, text: str, terminal: Terminal) -> int:
    """Run the text of a host's script inside; its first line may name the interpreter.  Returns its exit code."""
    async with inside.brought_in(ct, text) as candidates:
        return await sessions.execute(ct, candidates, None, terminal)
