"""Typed look-up of values in files of configuration."""

from collections.abc import Callable, Set
from typing import TypeVar

from hostd.config.veconf import VeConf
from hostd.errors import BadConfig

T = TypeVar("T")

# Keys of one container: never taken from vz.conf.  NETFILTER there is ignored by OpenVZ, too.
OWN_KEYS = frozenset((
    *("NAME", "HOSTNAME", "DESCRIPTION", "IP_ADDRESS", "NETIF"),
    *("OSTEMPLATE", "ORIGIN_SAMPLE", "PRIVILEGED", "NETFILTER", "DISABLED"),
))


class Reader:
    """The files, the container's own first; of *own* keys only that one is asked, as of OWN_KEYS."""

    __slots__ = ("files", "own")

    def __init__(self, files: tuple[VeConf, ...], own: Set[str] = frozenset()) -> None:
        self.files = files
        self.own = OWN_KEYS | own

    def value(self, key: str, parse: Callable[[str], T], default: T) -> T:
        for file in self.files[:1] if key in self.own else self.files:
            text = file.get(key)
            if text:
                try:
                    return parse(text)
                except ValueError as error:
                    raise BadConfig(f'{file.place(key)}: {key}="{text}": {error}') from error
        return default
