"""What one hostd has leased, as its files tell; a file is read again only when it is another one."""

import os
from collections.abc import Callable, Iterable

from hostd.checkpoint import images_dir, saved
from hostd.config.cache import ConfCache
from hostd.config.paths import Paths
from hostd.container import record
from hostd.errors import VzError

_Stamp = tuple[int, int, int]


class Installation:
    """The containers below one prefix: a running one has a record, one that sleeps a checkpoint."""

    def __init__(self, paths: Callable[[], Paths]) -> None:
        """*paths*: where its hostd has everything at this moment."""
        self._paths = paths
        self._records = Remembered(self._of_record)
        self._checkpoints = Remembered(self._of_checkpoint)

    def exists(self) -> bool:
        """A hostd has worked here, and nobody has removed what it left."""
        return os.path.isdir(self._paths().records_dir) or bool(self.suspended())

    def leased(self) -> set[range]:
        """The ids of all containers.  Raises OSError."""
        paths = self._paths()
        running = self._records.of(record.recorded(paths), paths.ct_record)
        return {*running.values(), *self.suspended().values()}

    def suspended(self) -> dict[int, range]:
        """CTID -> ids of those that sleep."""
        paths = self._paths()
        names = os.listdir(paths.dump_dir) if os.path.isdir(paths.dump_dir) else ()
        ctids = (int(name[5:]) for name in names if name.startswith("Dump.") and name[5:].isdecimal())
        return self._checkpoints.of(ctids, lambda ctid: f"{paths.dump(ctid)}/{images_dir.SAVED}")

    def _of_record(self, ctid: int, _path: str) -> range | None:
        found = record.load(self._paths(), ctid)
        return found.ids if found else None

    def _of_checkpoint(self, _ctid: int, path: str) -> range | None:
        try:
            return saved.load(os.path.dirname(path)).ids
        except VzError:  # damaged, or of another version: it cannot come back here
            return None


def as_configured(paths: Paths) -> Callable[[], Paths]:
    """The paths that vz.conf makes of *paths*, where there is one that can be used."""
    confs = ConfCache(paths)

    def now() -> Paths:
        try:
            return confs.globals().paths
        except VzError:
            return paths

    return now


class Remembered:
    """The ids that each container's file tells, by *read(CTID, path)*."""

    def __init__(self, read: Callable[[int, str], range | None]) -> None:
        self._read = read
        self._known: dict[int, tuple[_Stamp, range | None]] = {}

    def of(self, ctids: Iterable[int], path_of: Callable[[int], str]) -> dict[int, range]:
        """CTID -> ids, of those that have one."""
        before, self._known = self._known, {}
        for ctid in ctids:
            path = path_of(ctid)
            try:
                status = os.stat(path)
                stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
                known = before.get(ctid)
                self._known[ctid] = known if known and known[0] == stamp else (stamp, self._read(ctid, path))
            except OSError:  # it went away meanwhile
                continue
        return {ctid: ids for ctid, (_, ids) in self._known.items() if ids is not None}
