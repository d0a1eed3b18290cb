"""The most that hostd has seen held of what the kernel keeps no maximum of, over its own death.

A file beside the record, of one start of the container; written when something has grown, which is seldom.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from hostd.config.paths import Paths
from hostd.log import log

HALF = ".tmp"  # as of records: `record.sweep` finds it


@dataclass
class Maxima:
    """Of the start *serial* of a container; by beancounter."""

    path: str
    serial: int
    most: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, paths: Paths, ctid: int, serial: int) -> "Maxima":
        """What an earlier daemon has noted, or nothing yet."""
        found = cls(paths.ct_maxima(ctid), serial)
        try:
            with open(found.path, encoding="ascii") as file:
                raw = json.load(file)
            if raw["serial"] == serial:
                found.most = {str(name): int(most) for name, most in raw["most"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            pass
        return found

    def note(self, held: Mapping[str, int]) -> None:
        """What is held now."""
        grown = {name: number for name, number in held.items() if number > self.most.get(name, 0)}
        if grown:
            self.most.update(grown)
            self._save()

    def _save(self) -> None:
        """A full /run costs nothing but this, and only at the next death of ours."""
        try:
            with open(f"{self.path}{HALF}", "w", encoding="ascii", opener=_private) as file:
                json.dump({"serial": self.serial, "most": self.most}, file)
            os.rename(f"{self.path}{HALF}", self.path)
        except OSError as error:
            log.warning("cannot be noted: %s", error)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
