"""What start and set say about a setting that they apply, in OpenVZ's words."""

from collections.abc import Iterable

from hostd.config.addresses import Interface
from hostd.config.model import CtConfig

PRIVILEGED = "Warning: privileged: root inside is root of the host, and can take the host over (see vzctl(8))"


def adding(addresses: Iterable[Interface]) -> str:
    return "Adding IP address(es): " + " ".join(str(one.ip) for one in addresses)


def deleting(addresses: Iterable[Interface]) -> str:
    return "Deleting IP address(es): " + " ".join(str(one.ip) for one in addresses)


def processor(config: CtConfig, keys: frozenset[str]) -> list[str]:
    """The lines of the CPU settings among *keys*."""
    lines = {
        "CPUUNITS": f"Setting CPU units: {config.cpuunits}",
        "CPULIMIT": f"Setting CPU limit: {config.cpulimit}",
        "CPUS": f"Setting CPUs: {config.cpus}",
    }
    return [line for key, line in lines.items() if key in keys]


def starting(config: CtConfig) -> list[str]:
    """The lines of a start, between `Container is mounted` and `Container start in progress...`."""
    lines = [adding(config.addresses)] if config.addresses else []
    keys = frozenset(("CPULIMIT",) if config.cpulimit else ()) | frozenset(("CPUS",) if config.cpus else ())
    privileged = [PRIVILEGED] if config.privileged else []
    return [*privileged, *lines, *processor(config, keys | {"CPUUNITS"})]
