"""What create, start and set say about a setting that they apply, or cannot, in OpenVZ's words where it has some."""

from collections.abc import Iterable, Set

from hostd.config.addresses import Interface
from hostd.config.model import CtConfig
from hostd.config.settings import BY_KEY

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


def disk_limits(config: CtConfig, keys: Set[str]) -> list[str]:
    """Which limits of the disk among *keys* a layout without a disk of its own does not enforce."""
    limits = {"DISKSPACE": config.diskspace_kib, "DISKINODES": config.diskinodes}
    unkept = [key for key, value in limits.items() if key in keys and value is not None]
    if config.sized or not unkept:
        return []
    return [f"Warning: layout {config.layout} does not enforce {' and '.join(unkept)}; layout overlay does"]


def other_inodes(config: CtConfig, inodes: int) -> str:
    """The disk has *inodes*, whatever DISKINODES says: ext4 fixes their share of the disk when it is made."""
    said = f'DISKINODES="{config.raw.get("DISKINODES")}" is only stored'
    return f"Warning: {said}: the disk has {inodes} inodes, and their number follows its size (--diskspace)"


# Settings without which a container is another than its owner thinks; missing limits and tables are not said each time.
_WEIGHTY = ("NETIF", "NETDEV", "PCI", "DEVICES", "DEVNODES", "CAPABILITY", "FEATURES", "MOUNT_OPTS", "CPUMASK",
            "NODEMASK", "IOPRIO", "IOLIMIT", "IOPSLIMIT")  # fmt: skip


def missing(config: CtConfig) -> list[str]:
    """What the configuration asks for and the container does not get."""
    keys = [key for key in _WEIGHTY if (text := config.raw.get(key)) and BY_KEY[key].idle(text)]
    return [f"Warning: not enforced yet: {' '.join(keys)} of {config.raw.origin}"] if keys else []


def starting(config: CtConfig) -> list[str]:
    """The lines of a start, between `Container is mounted` and `Container start in progress...`."""
    lines = [adding(config.addresses)] if config.addresses else []
    keys = frozenset(("CPULIMIT",) if config.cpulimit else ()) | frozenset(("CPUS",) if config.cpus else ())
    privileged = [PRIVILEGED] if config.privileged else []
    return [*missing(config), *privileged, *lines, *processor(config, keys | {"CPUUNITS"})]
