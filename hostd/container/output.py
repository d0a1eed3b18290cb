"""What a script prints, told line by line while it runs."""

import asyncio
import os
from types import TracebackType
from typing import Self

from hostd.container.report import Report
from hostd.kernel.fd import Fd

_BLOCK = 65536  # the capacity of a pipe
_LONGEST = 4096  # bytes; a line longer than that is told in pieces


class Lines:
    """A pipe: what is written to `writer` goes to *report*, a call for each line.

    It is over when the context is left, and not at the end of file: a script may leave something behind that
    holds the pipe.
    """

    def __init__(self, report: Report) -> None:
        reader, writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reader, False)
        self._reader, self.writer = Fd(reader, "output of a script"), Fd(writer, "output of a script")
        self._report = report
        self._rest = b""

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._reader.fileno(), self._read)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._reader.fileno())
        self._read()
        if self._rest:
            self._tell(self._rest)
        self.writer.close()
        self._reader.close()

    def _read(self) -> None:
        """At most what a pipe holds: a script that never stops printing must not keep the daemon."""
        try:
            self._rest += os.read(self._reader.fileno(), _BLOCK)
        except BlockingIOError:
            return
        *lines, self._rest = self._rest.split(b"\n")
        if len(self._rest) > _LONGEST:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._tell(line)

    def _tell(self, line: bytes) -> None:
        self._report(line.decode("utf-8", "surrogateescape"))
