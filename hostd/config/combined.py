"""Settings that cannot be together."""

from hostd.config.model import CtConfig
from hostd.errors import BadValue

OPENVZ = "features openvz:on needs INIT=vz: parts of systemd do not take a /proc with OpenVZ's files for one"


def check(config: CtConfig) -> None:
    """Raises BadValue that says which."""
    if config.has("openvz") and config.init == "handoff":
        raise BadValue(OPENVZ)
