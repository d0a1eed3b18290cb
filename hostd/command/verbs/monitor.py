"""vzctl monitor: what happens to containers, one JSON object per line, until nobody reads any more."""

import asyncio
import json
import os
from types import TracebackType
from typing import Self

from hostd.command.call import Call
from hostd.command.host import Event
from hostd.config import names
from hostd.errors import BadValue, Exit, Failure
from hostd.kernel.fd import Fd

_FASTEST = 0.1  # seconds between two looks at the pressure: the kernel itself averages over two seconds


async def run(call: Call) -> int:
    ctids = frozenset(names.resolve(call.host.paths, word) for word in call.parsed.words)
    pressure = _pressure(call)
    async with _Lines(call) as lines:
        listening = asyncio.ensure_future(call.host.listen(ctids, pressure, lines.tell))
        gone = asyncio.ensure_future(lines.gone.wait())
        try:
            await asyncio.wait((listening, gone), return_when=asyncio.FIRST_COMPLETED)
            if not gone.done():
                listening.result()
                raise Failure(Exit.SYSTEM, "hostd ends, and what happens next is told by the one after it")
        finally:
            listening.cancel()
            gone.cancel()
            await asyncio.gather(listening, gone, return_exceptions=True)
    return Exit.OK


def _pressure(call: Call) -> float:
    """Seconds, 0 for none."""
    text = call.parsed.last("pressure")
    if text is None:
        return 0
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not _FASTEST <= seconds <= 86400:
        raise BadValue(f"Bad parameter for --pressure: {text}", hint=f"seconds, from {_FASTEST} on")
    return seconds


class _Lines:
    """A pipe to the command's standard output.  What does not fit, since nobody reads, is lost, and that is told."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._pipe: Fd | None = None
        self._lost = 0
        self.gone = asyncio.Event()  # nobody can read any more

    async def __aenter__(self) -> Self:
        stdin, self._pipe, stderr = await self._call.session.pipes()
        stdin.close()
        stderr.close()
        os.set_blocking(self._pipe.fileno(), False)
        asyncio.get_running_loop().add_reader(self._pipe, self.gone.set)  # it has nothing to read but its end
        await self._call.session.relay_pipes()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._pipe is not None
        asyncio.get_running_loop().remove_reader(self._pipe)
        self._pipe.close()

    def tell(self, event: Event) -> None:
        if self._lost and self._put({"time": event["time"], "event": "lost", "number": self._lost}):
            self._lost = 0
        if self._lost or not self._put(event):
            self._lost += 1

    def _put(self, event: Event) -> bool:
        """A line is shorter than PIPE_BUF, so it goes as a whole or not at all."""
        assert self._pipe is not None
        try:
            os.write(self._pipe.fileno(), f"{json.dumps(event)}\n".encode())
        except BlockingIOError:
            return False
        except BrokenPipeError:
            self.gone.set()
        return True
