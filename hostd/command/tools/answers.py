"""What the user of a command says when he is asked, from its standard input."""

import asyncio
from types import TracebackType
from typing import IO, Self

from hostd.command.host import Session
from hostd.kernel.fd import Fd


class Answers:
    """The standard input of the command, while this lasts.  Lines are read by a worker thread: they may take long."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._input: IO[str] | None = None

    async def __aenter__(self) -> Self:
        stdin, stdout, stderr = await self._session.pipes()
        stdout.close()  # what is printed goes the other way
        stderr.close()
        self._input = _reader(stdin)
        await self._session.relay_pipes()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._input is not None:
            self._input.close()

    async def line(self) -> str:
        """The next one without its end; "" at the end of all."""
        assert self._input is not None
        return (await asyncio.to_thread(self._input.readline)).rstrip("\n")

    async def all(self) -> str:
        assert self._input is not None
        return await asyncio.to_thread(self._input.read)


def _reader(pipe: Fd) -> IO[str]:
    return open(pipe.steal(), encoding="utf-8", errors="replace")
