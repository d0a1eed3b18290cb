"""Figures of the last time that somebody looked, for the commands that show what has changed since.

In a directory that everybody may have made before: no link is used, and only one that root alone writes to.
"""

import glob
import os
import stat

from hostd.errors import Failure

_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH  # a link could lie where a figure is going to be written


class Earlier:
    """Files `ubc.CTID.NAME.KIND` in *directory*, as OpenVZ's vzubc has them.  Raises Failure(1) where it is no good."""

    def __init__(self, directory: str, kind: str) -> None:
        self._directory = directory
        self._kind = kind
        self._now: dict[str, int] = {}
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            status = os.lstat(directory)
        except OSError as error:
            raise Failure(1, f"{directory}: {error.strerror}") from error
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & _BY_OTHERS:
            raise Failure(1, f"{directory} is not a directory of root's that nobody else may write to")

    def since(self, key: str, now: int, *, falls: bool) -> int:
        """How much more it is than the last time; what does not *fall* by itself began anew if it has fallen."""
        self._now[key] = now
        try:
            with open(self._path(key), encoding="ascii") as file:
                before = int(file.read())
        except (OSError, ValueError):
            return 0 if falls else now
        return now if now < before and not falls else now - before

    def save(self) -> None:
        """Nothing of it is worth a wait for the disk."""
        try:
            for key, figure in self._now.items():
                with open(f"{self._directory}/.new", "w", encoding="ascii") as file:
                    file.write(f"{figure}\n")
                os.rename(file.name, self._path(key))
        except OSError as error:
            raise Failure(1, f"{self._directory}: {error.strerror}") from error

    @classmethod
    def forget(cls, directory: str, kind: str) -> None:
        for path in glob.glob(f"{glob.escape(directory)}/ubc.*.{kind}"):
            os.unlink(path)

    def _path(self, key: str) -> str:
        return f"{self._directory}/ubc.{key}.{self._kind}"
