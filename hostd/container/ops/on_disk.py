"""A container as its files: what the steps of create and of destroy share."""

from dataclasses import dataclass

from hostd.config.model import CtConfig
from hostd.config.paths import Paths


@dataclass
class OnDisk:
    """One that is on its way into the configuration directory, or out of it."""

    paths: Paths
    config: CtConfig

    @property
    def ctid(self) -> int:
        return self.config.ctid

    @property
    def file(self) -> str:
        """Its configuration, while it is a container like any other; in the meantime there is a note beside that."""
        return self.paths.ct_conf(self.ctid)
