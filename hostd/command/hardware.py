"""Settings that name a part of this machine: what it has not is refused, whether it is only saved or not."""

from collections.abc import Mapping

from hostd.config import processors
from hostd.container import devices


def check(texts: Mapping[str, str]) -> None:
    """Of *texts*, what was given by key.  Raises BadValue."""
    for key, text in texts.items():
        processors.check(key, text)
    devices.check(texts.get("DEVNODES", ""))
