"""set --applyconfig: the settings of a sample, as if each had been given.

It knows nothing of the container, and nobody has typed its options: what of it does not take effect is told by key.
"""

from typing import NamedTuple

from hostd.command.call import Call
from hostd.command.changes import Changes
from hostd.config import live, plain
from hostd.config.model import effective
from hostd.config.settings import BY_KEY, Effect
from hostd.config.veconf import VeConf
from hostd.errors import Exit, Failure

# What a container is, and how its files are kept, is not a matter of its size.
OF_ONE_CONTAINER = frozenset(
    ("HOSTNAME", "IP_ADDRESS", "OSTEMPLATE", "VE_ROOT", "VE_PRIVATE", "VE_LAYOUT", "DESCRIPTION", "NAME")
)


class Sample(NamedTuple):
    """*notes*: what to say of the keys that do not take effect at once."""

    changes: Changes
    notes: tuple[str, ...] = ()


def over(call: Call, found: Changes, conf: VeConf, *, save: bool) -> Sample:
    """*found* and the sample that --applyconfig names, which wins, as in OpenVZ; *conf* is the container's file.

    Without *save* the sample's part is what a running container can take over.  Failure(109) without such a sample.
    """
    name = call.parsed.last("applyconfig")
    if name is None:
        return Sample(found)
    sample = _load(call, name)
    texts = {key: value for key, value in sample.items() if key not in OF_ONE_CONTAINER}
    if not save:
        waiting = [key for key in texts if key not in live.KEYS]
        note = f"Warning: of the sample {name}, without --save nothing becomes of {' '.join(waiting)}"
        taken = {key: value for key, value in texts.items() if key in live.KEYS}
        return Sample(_with(found, taken), (note,) if waiting else ())
    rows = {key: BY_KEY[key] for key in texts if key in BY_KEY}
    kept = [key for key, row in rows.items() if row.idle(texts[key])]
    note = f"Warning: of the sample {name}, stored and not enforced yet: {' '.join(kept)}"
    restart = [row for key, row in rows.items() if row.effect is Effect.RESTART and texts[key] != conf.get(key)]
    changes = _with(found, {**texts, "ORIGIN_SAMPLE": name})
    return Sample(changes._replace(settings=(*found.settings, *restart)), (note,) if kept else ())


def _load(call: Call, name: str) -> VeConf:
    path = call.host.paths.sample_conf(name)
    try:
        sample = VeConf.load(path)
    except OSError as error:
        raise Failure(Exit.APPLY_CONFIG, f"Sample config file not found: {path}") from error
    effective(call.ctid, sample, call.host.confs.globals())  # refuses what cannot be used
    return plain.sizes(sample)


def _with(found: Changes, texts: dict[str, str]) -> Changes:
    return found._replace(texts={**found.texts, **texts})
