"""What vzlist knows of one container.  It reads the file as it is: garbage in it shows, and does not fail."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from hostd.command.figures import Usage
from hostd.command.host import Facts, Host
from hostd.config import bounds, values
from hostd.config.model import GlobalConfig
from hostd.config.reader import OWN_KEYS
from hostd.config.veconf import VeConf
from hostd.errors import NoConfig


class Row(NamedTuple):
    """What is known of one container."""

    ctid: int
    facts: Facts
    usage: Usage
    conf: VeConf
    globals: GlobalConfig

    def text(self, key: str) -> str | None:
        """The configured value: what runs, else the file, else vz.conf; None when unset or empty."""
        if key in self.facts.live:
            return self.facts.live[key] or None
        found = self.conf.get(key)
        if not found and key not in OWN_KEYS:
            found = self.globals.raw.get(key)
        return found or None

    def number(self, key: str) -> int | None:
        text = self.text(key)
        return int(text) if text and re.fullmatch(r"[0-9]{1,19}", text) else None

    def words(self, key: str) -> list[str]:
        return (self.text(key) or "").split()

    def boolean(self, key: str) -> bool | None:
        """None: it says neither, as `auto` does: whoever ran before is started."""
        try:
            return values.yes_no(self.text(key) or "")
        except ValueError:
            return None

    @property
    def vswap(self) -> bool:
        return bounds.is_vswap(self.text("PHYSPAGES"), self.text("SWAPPAGES"))

    def limits(self, name: str) -> values.Pair | None:
        """Barrier and limit of the beancounter *name*; what runs without has no limit."""
        found = self.pair(name.upper(), values.beancounter_unit(name))
        return (values.UNLIMITED, values.UNLIMITED) if found is None and self.facts.running else found

    def pair(self, key: str, unit: Callable[[str], int]) -> values.Pair | None:
        text = self.text(key)
        return _pair(text, unit) if text else None


def conf_of(host: Host, ctid: int, facts: Facts) -> VeConf:
    """The file of a container, an empty one of what is there without.  Raises NoConfig for the rest, and BadConfig."""
    try:
        return host.confs.raw(ctid)
    except NoConfig:
        if not facts.there:
            raise
        return VeConf()


@lru_cache(maxsize=4096)
def _pair(text: str, unit: Callable[[str], int]) -> values.Pair | None:
    """Thousands of containers share a few limits."""
    try:
        return values.bar_limit(text, unit)
    except ValueError:
        return None


def status(row: Row) -> str:
    facts = row.facts
    if facts.running:
        return "running"
    return "mounted" if facts.mounted else "suspended" if facts.suspended else "stopped"
