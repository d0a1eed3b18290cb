"""Limits of the disk: those that no disk can have are refused, and of those that nothing makes true one is told."""

from collections.abc import Set

from hostd.command.call import Call
from hostd.config import announce
from hostd.config.model import CtConfig, effective
from hostd.config.veconf import VeConf
from hostd.errors import BadConfig
from hostd.storage import ext4image

KEYS = frozenset(("DISKSPACE", "DISKINODES"))


def check(call: Call, keys: Set[str], conf: VeConf) -> None:
    """Raises Failure(21) when *conf*, in which *keys* are new, wants a disk that cannot be."""
    config = _effective(call, conf) if keys & KEYS else None
    if config is not None and config.sized:
        space, inodes = (pair and pair[1] for pair in (config.diskspace_kib, config.diskinodes))
        ext4image.geometry(space, inodes)


def tell(call: Call, keys: Set[str], conf: VeConf, *, exists: bool) -> bool:
    """Of the *keys* that were saved in *conf*.  False when the disk follows none of them, ever."""
    keys, config = keys & KEYS, _effective(call, conf)
    if config is None:
        return True
    for line in announce.disk_limits(config, keys):
        call.console.say(line)
    inodes = call.host.other_inodes(call.ctid, config) if exists and "DISKINODES" in keys else None
    if inodes is not None:
        call.console.say(announce.other_inodes(config, inodes))
    return config.sized


def _effective(call: Call, conf: VeConf) -> CtConfig | None:
    """None: something else in the file is bad, and the next start says so."""
    try:
        return effective(call.ctid, conf, call.host.confs.globals())
    except BadConfig:
        return None
