"""The host's side of containers' networks: ready before the first, and what each address needs besides its route.

Forwarding and anti-spoofing are installed by whoever starts first, and guarded from then on.  Addresses inside of the
host's own networks are answered for there, as OpenVZ does (NEIGHBOUR_DEVS).
"""

import asyncio
from collections.abc import Callable, Iterable

from hostd.config.addresses import Interface
from hostd.config.model import GlobalConfig
from hostd.container import faults
from hostd.kernel.fd import Fd
from hostd.net import guard, neighbours, protect, venet
from hostd.net.venet import Address, Venet


class HostNetwork:
    """Made ready by whoever needs it first; everybody else waits for the same."""

    def __init__(self, load_globals: Callable[[], GlobalConfig]) -> None:
        self._load_globals = load_globals
        self._lock = asyncio.Lock()
        self._guard: asyncio.Task[None] | None = None

    async def ready(self) -> None:
        """Forward, and drop what containers send with foreign addresses.  Raises Failure when that cannot be had:
        a container must not start unprotected.
        """
        async with self._lock:
            if self._guard is None:
                nat = self._load_globals().nat
                await asyncio.gather(protect.install(nat=nat), venet.warm())
                self._guard = asyncio.create_task(guard.guard(nat=nat))

    async def leave(self) -> None:
        """Take the rules away again, if no container needs them; the guard would only bring them back."""
        if self._guard is not None:
            self._guard.cancel()
            await asyncio.wait({self._guard})
            self._guard = None
        await venet.settled()  # devices on their way out still need the rules
        await protect.remove()

    async def plug(self, ctid: int, host_name: str, addresses: tuple[Interface, ...], netns: Fd) -> None:
        """The container's device, addresses and routes.  Raises Failure naming the step and the address."""
        await self.ready()
        device, devices = Venet(ctid, host_name, addresses, await self._sources()), self._neighbour_devices()

        def announce() -> None:
            faults.point("network.plugged")
            neighbours.announce_now(device.hosts, devices)

        await venet.plug(device, netns, announce)

    async def pair(self, ctid: int, host_name: str, addresses: tuple[Interface, ...]) -> str:
        """For a restore: both ends on the host, complete; answers the name of the container's end."""
        await self.ready()
        _, loose = await venet.host_end(Venet(ctid, host_name, addresses, await self._sources()))
        faults.point("network.pair")
        await self._announce(addresses)
        return loose

    async def unplug(self, host_name: str, addresses: Iterable[Address]) -> None:
        """Take the device and the routes away; idempotent."""

        def withdraw() -> None:
            faults.point("network.unplugged")
            neighbours.withdraw_now(list(addresses))

        await venet.unplug(host_name, withdraw)

    async def add(self, host_name: str, netns: Fd, address: Interface) -> None:
        """One more address of a running container."""
        source = next((s for s in await self._sources() if s.version == address.version), None)
        await venet.add_address(host_name, netns, address, source)
        await self._announce((address,))

    async def delete(self, host_name: str, netns: Fd, address: Interface) -> None:
        """One address less; idempotent."""
        await venet.del_address(host_name, netns, address)
        await neighbours.withdraw((address.ip,))

    async def _sources(self) -> tuple[Address, ...]:
        device = self._load_globals().raw.get("VE_ROUTE_SRC_DEV")
        return await venet.sources_of(device) if device else ()

    async def _announce(self, addresses: tuple[Interface, ...]) -> None:
        await neighbours.announce([address.ip for address in addresses], self._neighbour_devices())

    def _neighbour_devices(self) -> str:
        return self._load_globals().raw.get("NEIGHBOUR_DEVS") or neighbours.DETECT
