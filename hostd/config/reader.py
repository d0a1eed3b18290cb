"""Typed look-up of values in files of configuration."""

from collections.abc import Callable
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
    """The files, the container's own first."""

    __slots__ = ("files",)

    def __init__(self, files: tuple[VeConf, ...]) -> None:
        self.files = files

    def value(self, key: str, parse: Callable[[str], T], default: T) -> T:
        for file in self.files[:1] if key in OWN_KEYS else self.files:
            text = file.get(key)
            if text:
                try:
                    return parse(text)
                except ValueError as error:
                    raise BadConfig(f'{file.place(key)}: {key}="{text}": {error}') from error
        return default
