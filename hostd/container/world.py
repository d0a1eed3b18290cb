"""What every operation needs of the host: made once when the daemon starts, passed explicitly."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hostd.cgroup.tree import CgroupTree
from hostd.config.model import CtConfig, GlobalConfig
from hostd.config.paths import Paths
from hostd.container.lease import Leases
from hostd.container.network import HostNetwork
from hostd.errors import Exit, Failure
from hostd.image.runtime import Runtimes
from hostd.kernel.fd import Fd
from hostd.kernel.features import Features, lacking
from hostd.kernel.process import Process
from hostd.kernel.spawn import SpawnPlan
from hostd.kernel.stage import Stage

if TYPE_CHECKING:
    from hostd.container.container import Container
    from hostd.container.sysinfo import Sysinfo
    from hostd.container.views import Views


class Keeper(Protocol):
    """The parent of every PID 1, which outlives the daemon."""

    def child(self, name: str, process: Process) -> None:
        """Wait for this child, and tell every daemon how it ended until `forget`."""

    def hold(self, name: str, fd: Fd) -> None:
        """Keep a duplicate of *fd* for the next daemon."""

    def helper(self, name: str, argv: Sequence[str], held: Sequence[str]) -> None:
        """Run *argv* with the descriptors that are held under the names *held*; again whenever it ends."""

    def forget(self, name: str) -> None:
        """Drop the child, the helper, the exit or the descriptor of that name."""


class World(NamedTuple):
    """The host, as the operations see it."""

    paths: Paths
    tree: CgroupTree
    stage: Stage | None  # None where the kernel cannot make one: `require` says why
    keeper: Keeper
    features: Features
    network: HostNetwork
    runtimes: Runtimes  # what becomes /.vz in every container
    load_config: Callable[[int], CtConfig]
    load_globals: Callable[[], GlobalConfig]
    held: dict[str, Fd]  # descriptors that the keeper kept over the last daemon's death
    leases: Leases  # of user ids
    views: "Views"  # what containers see of themselves
    sysinfo: "Sysinfo"  # and what sysinfo(2) tells them
    note_openvz: Callable[["Container"], Awaitable[None]]  # what its files of OpenVZ say, at its cgroup

    def require(self, config: CtConfig) -> None:
        """Raises Failure(5) when this kernel cannot run the container."""
        missing = lacking(self.features, userns=not config.privileged, overlay=config.layout == "overlay")
        if missing or self.stage is None:
            text = f"this kernel cannot run CT {config.ctid}, it lacks {', '.join(missing) or 'mount namespaces'}"
            raise Failure(Exit.BAD_KERNEL, text, hint="Linux 6.1 has all; see `vzctl check`")

    async def spawn(self, plan: SpawnPlan) -> Process:
        """PID 1 as *plan* says, as the keeper's child.  Raises OSError naming the step."""
        assert self.stage is not None  # `require`
        return await asyncio.wrap_future(self.stage.spawn(plan))

    @property
    def criu_cache(self) -> str:
        """Where CRIU keeps its probe of the kernel between calls."""
        return f"{self.paths.run_dir}/criu"
