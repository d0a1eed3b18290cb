"""What the user of a command says when he is asked, from its standard input."""

import asyncio
import io
from types import TracebackType
from typing import Self

from hostd.command.host import Session
from hostd.errors import Failure

LONGEST = 1 << 26  # bytes: the beancounters of 20,000 containers


class Answers:
    """The standard input of the command, while this lasts.  Nothing but the command itself waits for it: a thread
    that reads would, and could not be interrupted.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._pipe: asyncio.ReadTransport | None = None

    async def __aenter__(self) -> Self:
        stdin, stdout, stderr = await self._session.pipes()
        self._input = asyncio.StreamReader()
        stdout.close()  # what is printed goes the other way
        stderr.close()
        loop = asyncio.get_running_loop()
        pipe = io.FileIO(stdin.steal())
        self._pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(self._input), pipe)
        await self._session.relay_pipes()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pipe is not None:
            self._pipe.close()

    async def line(self) -> str | None:
        """The next one without its end; None when nobody says anything any more."""
        try:
            said = await self._input.readline()
        except ValueError as error:
            raise Failure(1, "This line is too long") from error
        return _text(said).rstrip("\n") if said else None

    async def all(self) -> str:
        found = bytearray()
        while chunk := await self._input.read(1 << 16):
            found += chunk
            if len(found) > LONGEST:
                raise Failure(1, "There is too much on standard input")
        return _text(found)


def _text(said: bytes | bytearray) -> str:
    return said.decode(errors="replace")
