"""Limits of the disk that are saved and that nothing makes true: whoever set them is told."""

from collections.abc import Set

from hostd.command.call import Call
from hostd.config import announce
from hostd.config.model import effective
from hostd.config.veconf import VeConf
from hostd.errors import BadConfig

KEYS = frozenset(("DISKSPACE", "DISKINODES"))


def tell(call: Call, keys: Set[str], conf: VeConf, *, exists: bool) -> bool:
    """Of the *keys* that were saved in *conf*.  False when the disk follows none of them, ever."""
    keys = keys & KEYS
    try:
        config = effective(call.ctid, conf, call.host.confs.globals())
    except BadConfig:  # something else in the file is bad, and the next start says so
        return True
    for line in announce.disk_limits(config, keys):
        call.console.say(line)
    inodes = call.host.other_inodes(call.ctid, config) if exists and "DISKINODES" in keys else None
    if inodes is not None:
        call.console.say(announce.other_inodes(config, inodes))
    return config.sized
