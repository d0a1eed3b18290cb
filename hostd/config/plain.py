"""Sizes of a sample in plain numbers: OpenVZ's say `0:256M`, and libvirt, for one, reads no suffixes."""

from collections.abc import Callable

from hostd.config import values
from hostd.config.settings import BEANCOUNTERS
from hostd.config.veconf import VeConf

_UNITS: dict[str, Callable[[str], int]] = {
    **{name.upper(): values.beancounter_unit(name) for name in (*BEANCOUNTERS, "avnumproc")},
    "DISKSPACE": values.disk_kib,
    "DISKINODES": values.items,
    "IOLIMIT": values.io_bytes,
}
_SOFT_HARD = ("DISKSPACE", "DISKINODES")  # always both, as libvirt wants them


def sizes(conf: VeConf) -> VeConf:
    """A copy of *conf* without suffixes.  What cannot be read stays as it is, for who says what is wrong with it."""
    found = conf.copy()
    for key, text in conf.items():
        if key in _UNITS and not text.replace(":", "").isdecimal() and (plain := _plain(key, text)) != text:
            found.set(key, plain)
    return found


def _plain(key: str, text: str) -> str:
    try:
        pair = values.bar_limit(text, _UNITS[key])
    except ValueError:
        return text
    return values.pair_text(pair) if ":" in text or key in _SOFT_HARD else values.count_text(pair[0])
