"""Settings that cannot be together."""

from hostd.config.veconf import VeConf
from hostd.errors import BadValue

OPENVZ = "features openvz:on needs INIT=vz: parts of systemd do not take a /proc with OpenVZ's files for one"


def check(conf: VeConf, globals: VeConf) -> None:
    """Raises BadValue that says which."""
    features, init = ((conf.get(key) or globals.get(key) or "").lower() for key in ("FEATURES", "INIT"))
    if "openvz:on" in features.replace(",", " ").split() and init.strip() == "handoff":
        raise BadValue(OPENVZ)
