"""Settings that are applied and saved, and that this host cannot make true: whoever set them is told."""

from hostd.command.call import Call
from hostd.command.changes import Changes
from hostd.config.model import effective
from hostd.config.veconf import VeConf
from hostd.errors import BadConfig


def tell(call: Call, changes: Changes, conf: VeConf) -> None:
    """Of *changes*, as they are in *conf* then."""
    then = conf.copy()
    changes.edit(then)
    try:
        config = effective(call.ctid, then, call.host.confs.globals())
    except BadConfig:  # something else in the file is bad, and the next start says so
        return
    for line in call.host.unkept(config, changes.keys):
        call.console.say(line)
