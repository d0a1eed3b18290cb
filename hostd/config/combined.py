"""Settings that cannot be together."""

from hostd.config.model import CtConfig
from hostd.config.reader import Reader
from hostd.config.veconf import VeConf
from hostd.errors import BadValue

OPENVZ = "features openvz:on needs INIT=vz: parts of systemd do not take a /proc with OpenVZ's files for one"


def check(config: CtConfig) -> None:
    """Raises BadValue that says which."""
    if config.has("openvz") and config.init == "handoff":
        raise BadValue(OPENVZ)


def check_masks(own: VeConf, defaults: VeConf) -> None:
    """Of what `set` is given; a file that says so starts, on all processors.  Raises BadValue."""
    cpumask, nodemask = (Reader((own, defaults)).value(key, str.strip, "") for key in ("CPUMASK", "NODEMASK"))
    if cpumask == "auto" and not nodemask:
        raise BadValue('CPUMASK="auto" means the processors of the nodes in NODEMASK', hint="give --nodemask as well")
