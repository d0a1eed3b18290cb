"""vzctl monitor: what happens to containers, one JSON object per line, until somebody ends it."""

import asyncio
import json
from contextlib import suppress

from hostd.command.call import Call
from hostd.command.host import Event
from hostd.config import names
from hostd.errors import BadValue, Exit, Failure

BACKLOG = 1000  # lines that may wait for a slow reader; what comes then is lost, and that is told
_FASTEST = 0.1  # seconds between two looks at the pressure: the kernel itself averages over two seconds


async def run(call: Call) -> int:
    ctids = frozenset(names.resolve(call.host.paths, word) for word in call.parsed.words)
    listening = asyncio.ensure_future(call.host.listen(ctids, _pressure(call), _Printer(call).tell))
    gone = asyncio.ensure_future(call.session.gone.wait())
    try:
        await asyncio.wait((listening, gone), return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            return Exit.OK
        listening.result()
    finally:
        for task in (listening, gone):
            task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await listening
    raise Failure(Exit.SYSTEM, "hostd ends, and what happens next is told by the one after it")


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


class _Printer:
    def __init__(self, call: Call) -> None:
        self._call = call
        self._lost = 0

    def tell(self, event: Event) -> None:
        if self._call.session.backlog > BACKLOG:
            self._lost += 1
            return
        if self._lost:
            self._show({"time": event["time"], "event": "lost", "number": self._lost})
            self._lost = 0
        self._show(event)

    def _show(self, event: Event) -> None:
        self._call.console.show(json.dumps(event) + "\n")
