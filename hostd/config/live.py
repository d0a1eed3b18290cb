"""What a running container has of the settings that `set` changes at once, and of those that it was started with.

They are kept as texts by key, "" for what is not set: the files may say something else by now.
"""

from collections.abc import Mapping

from hostd.config.model import CtConfig, GlobalConfig, effective
from hostd.config.reader import OWN_KEYS
from hostd.config.settings import SETTINGS
from hostd.config.veconf import VeConf

KEYS = tuple(dict.fromkeys(row.key for row in SETTINGS if row.live and row.key))
# Decided by the start alone, and read again whenever the devices change that a container may open.
STARTED = ("FEATURES",)

Texts = Mapping[str, str]


def text(config: CtConfig, globals: GlobalConfig, key: str) -> str:
    """What the files say of *key*: the container's own, else vz.conf where that may speak for it."""
    return config.raw.get(key) or ("" if key in OWN_KEYS else globals.raw.get(key) or "")


def texts(config: CtConfig, globals: GlobalConfig) -> dict[str, str]:
    """What a container gets that is started now."""
    return {key: text(config, globals, key) for key in (*KEYS, *STARTED)}


def over(conf: VeConf, running: Texts) -> VeConf:
    """A copy of *conf* that says what runs."""
    found = conf.copy()
    for key, value in running.items():
        found.set(key, value) if value else found.unset(key)
    return found


def running(ctid: int, conf: VeConf, texts: Texts, globals: GlobalConfig) -> CtConfig:
    """What a container has that runs with *texts*.  What it was started without it has not got by a default that has
    come into vz.conf since.
    """
    return effective(ctid, over(conf, texts), globals, but=texts.keys())


def resumed(then: Texts, said_then: Texts, says_now: Texts) -> dict[str, str]:
    """What a container gets that ran with *then* when it was suspended: of what the files said something else at that
    time (*said_then*), what they say now; but a restore is no start.
    """
    set_since = {key for key, now in says_now.items() if now != said_then.get(key, now)} - set(STARTED)
    return {key: now if key in set_since else then.get(key, now) for key, now in says_now.items()}
