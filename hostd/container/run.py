"""A run of a container: what the steps of start, restore and stop share."""

import asyncio
from dataclasses import dataclass, field

from hostd.cgroup.tree import CtCgroup
from hostd.config.model import CtConfig
from hostd.container.container import Container
from hostd.container.init_link import Message
from hostd.container.mounts import Submount
from hostd.container.record import Record
from hostd.container.report import Report
from hostd.container.world import World
from hostd.errors import Failure
from hostd.kernel.clocks import Clocks


@dataclass
class Run:
    """A run of a container that is being built up or taken down; the steps share it."""

    ct: Container
    record: Record
    report: Report
    config: CtConfig | None = None  # None when only undoing
    setup: bool = False
    submounts: tuple[Submount, ...] = ()
    greeting: "asyncio.Future[tuple[Message, Message]] | None" = None
    failures: list[Failure] = field(default_factory=list)  # of action scripts that could not stop an undo
    clocks: Clocks = field(default_factory=Clocks.now)  # those of the host when it began: for a start zero inside

    @property
    def world(self) -> World:
        return self.ct.world

    @property
    def cgroup(self) -> CtCgroup:
        return CtCgroup(self.world.tree, self.ct.ctid)

    @property
    def own_clocks(self) -> Clocks | None:
        """Where this kernel has such."""
        return self.clocks if self.world.features.time_namespaces else None

    @property
    def configuration(self) -> CtConfig:
        """The configuration; only steps that build ask for it."""
        assert self.config is not None
        return self.config

    def save(self) -> None:
        self.record.save(self.world.paths)
