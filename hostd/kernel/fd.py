"""Fd: a file descriptor with an owner."""

import os
from types import TracebackType
from typing import Self


class Fd:
    """An open descriptor, closed once: by `close()`, at the end of a `with`, or with its last reference.

    *what* names it in messages.  `steal()` gives the bare number away, together with the duty to close it.
    """

    __slots__ = ("_number", "what")

    def __init__(self, number: int, what: str = "") -> None:
        self._number = -1  # __del__ runs even when the check below raises
        if number < 0:
            raise ValueError(f"not a descriptor: {number}")
        self._number = number
        self.what = what

    @classmethod
    def open(cls, path: str, flags: int, mode: int = 0, *, dir: "Fd | None" = None) -> "Fd":
        """open(2) with O_CLOEXEC, relative to *dir* when that is given; OSError."""
        where = dir.fileno() if dir is not None else None
        return cls(os.open(path, flags | os.O_CLOEXEC, mode, dir_fd=where), path)

    def fileno(self) -> int:
        """The number; ValueError when closed or stolen."""
        if self._number < 0:
            raise ValueError(f"descriptor is closed: {getattr(self, 'what', '') or 'unnamed'}")
        return self._number

    @property
    def path(self) -> str:
        """A path that leads to the open file, for calls that want a path (in this process only)."""
        return f"/proc/self/fd/{self.fileno()}"

    def steal(self) -> int:
        number = self.fileno()
        self._number = -1
        return number

    def dup(self) -> "Fd":
        """A second descriptor of the same open file, close-on-exec."""
        return Fd(os.dup(self.fileno()), self.what)

    def close(self) -> None:
        """Close; harmless when closed already."""
        number, self._number = self._number, -1
        if number >= 0:
            os.close(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        try:
            self.close()
        except (OSError, AttributeError):
            pass  # at interpreter exit the number may be gone already

    def __repr__(self) -> str:
        state = str(self._number) if self._number >= 0 else "closed"
        return f"Fd({state}, {self.what!r})"
